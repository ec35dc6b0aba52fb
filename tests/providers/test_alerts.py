"""Alerts: after an activation every provider is tested again, and one that passed before and fails now is not overlooked."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.audit import SYSTEM
from portal.errors import Conflict
from portal.models import AuditEvent
from providers import alerts, testing
from providers.models import Alert, ConnectionReport, Provider
from stores.models import Notice, Version
from tests.cast import Cast, client_of
from tests.providers.backends import Switch, activate, run_tests
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True)


def probed(provider: Provider) -> ConnectionReport:
    """A test that somebody asked for, run."""
    report = testing.ask(provider=provider, reason="asked", actor=SYSTEM, now=timezone.now())
    run_tests()
    report.refresh_from_db()
    return report


def broken(switch: Switch, name: str = "orders backend") -> tuple[Provider, Version]:
    """A provider that passed with version 1, and fails since version 2 is active."""
    provider = switch.provider(name, switch.old_ca)
    assert probed(provider).ok
    staged = switch.stage()
    activate(staged)
    run_tests()
    return provider, staged


class TestTestedAgain:
    def test_every_provider_that_can_be_reached_is_tested_with_the_new_version(self, switch: Switch) -> None:
        one, two = switch.provider("one"), switch.provider("two")
        switch.provider("inside", host="10.1.2.3")
        switch.provider("other", key_certificate=None)
        staged = switch.stage()
        activate(staged)
        reports = ConnectionReport.objects.filter(reason="activation")
        assert {report.provider for report in reports} == {one, two}
        assert {report.activated for report in reports} == {staged}
        run_tests()
        assert {report.shown for report in reports.all()} == {staged}
        assert not Alert.objects.exists()

    def test_a_test_that_still_waits_serves_the_next_activation(self, switch: Switch) -> None:
        provider = switch.provider("one")
        activate(switch.stage())
        activate(switch.old)
        assert provider.reports.get().activated == switch.old


class TestOpening:
    def test_one_that_passed_before_and_fails_now_opens_an_alert(self, switch: Switch, cast: Cast) -> None:
        provider, staged = broken(switch)
        alert = Alert.objects.get()
        assert (alert.provider, alert.certificate, alert.version, alert.previous) == (
            provider, switch.certificate, staged, switch.old,
        )  # fmt: skip
        assert alert.code == "client_certificate_unknown_ca"
        assert alert.report == provider.reports.first()
        told = Notice.objects.filter(key=f"alert {alert.pk}", channel="portal")
        assert [notice.recipient for notice in told] == [cast.owner.email]
        assert told[0].title == "orders backend fails since version 2 of orders-client is active"
        assert "One click restores version 1." in told[0].text
        assert "127.0.0.1" not in told[0].text
        assert AuditEvent.objects.filter(action="alert.opened").count() == 1

    def test_its_owner_is_told_where_it_has_one(self, switch: Switch, cast: Cast) -> None:
        provider = switch.provider("one", switch.old_ca, owner=cast.editor)
        probed(provider)
        activate(switch.stage())
        run_tests()
        assert Notice.objects.get(key__startswith="alert", channel="portal").user == cast.editor

    def test_one_that_failed_already_opens_none(self, switch: Switch) -> None:
        provider = switch.provider("one", switch.new_ca)
        assert not probed(provider).ok
        switch.backends[0].takes = (switch.root,)
        activate(switch.stage())
        run_tests()
        assert provider.reports.count() == 2
        assert not Alert.objects.exists()

    def test_one_that_passed_long_ago_but_failed_last_opens_none(self, switch: Switch) -> None:
        provider = switch.provider("one", switch.old_ca)
        assert probed(provider).ok
        provider.refresh_from_db()
        assert provider.last_good
        switch.backends[0].takes = (switch.root,)
        assert not probed(provider).ok
        activate(switch.stage())
        run_tests()
        assert not Alert.objects.exists()

    def test_one_that_was_never_tried_opens_none(self, switch: Switch) -> None:
        switch.provider("one", switch.old_ca)
        activate(switch.stage())
        run_tests()
        assert not Alert.objects.exists()

    def test_a_test_that_ends_after_the_next_activation_opens_none(self, switch: Switch) -> None:
        provider = switch.provider("one", switch.old_ca)
        probed(provider)
        staged = switch.stage()
        activate(staged)
        Version.objects.filter(pk=staged.pk).update(state="superseded")
        run_tests()
        assert not provider.reports.first().ok  # type: ignore[union-attr]
        assert not Alert.objects.exists()

    def test_a_test_that_was_cut_short_is_made_again_once(self, switch: Switch) -> None:
        provider = switch.provider("one", switch.old_ca)
        probed(provider)
        activate(switch.stage())
        long_ago = timezone.now() - testing.STUCK * 2
        provider.reports.filter(state="waiting").update(state="running", started_at=long_ago)
        testing.resume(timezone.now())
        assert not Alert.objects.exists()
        run_tests()
        assert Alert.objects.get().code == "client_certificate_unknown_ca"


class TestClosing:
    def test_one_click_restores_the_version_before(self, switch: Switch, cast: Cast) -> None:
        provider, _ = broken(switch)
        alert = Alert.objects.get()
        browser = client_of(cast.editor)
        answer = browser.post(reverse("providers:alert_restore", args=[alert.pk]))
        assert answer.headers["Location"] == provider.get_absolute_url()
        assert switch.certificate.active == switch.old
        alert.refresh_from_db()
        assert alert.closed == "restored"
        run_tests()
        assert provider.reports.first().ok  # type: ignore[union-attr]
        assert Alert.objects.count() == 1
        assert AuditEvent.objects.get(action="version.restored").actor == cast.editor

    def test_restoring_by_any_way_closes_it_the_same(self, switch: Switch) -> None:
        broken(switch)
        activate(switch.old)
        assert Alert.objects.get().closed == "restored"

    def test_a_version_that_puts_it_right_closes_it(self, switch: Switch) -> None:
        broken(switch)
        activate(switch.stage(switch.old_ca))
        assert Alert.objects.get().closed == "replaced"
        run_tests()
        assert Alert.objects.count() == 1

    def test_a_version_that_does_not_leaves_it_open_with_the_way_back_to_what_worked(
        self, switch: Switch
    ) -> None:
        broken(switch)
        third = switch.stage()
        activate(third)
        run_tests()
        alert = Alert.objects.get(closed_at=None)
        assert (alert.version, alert.previous) == (third, switch.old)

    def test_it_closes_when_a_test_passes_again(self, switch: Switch) -> None:
        provider, _ = broken(switch)
        switch.backends[0].takes += (switch.new_ca,)
        assert probed(provider).ok
        assert Alert.objects.get().closed == "passes"

    def test_a_rehearsal_that_passes_does_not_close_it(self, switch: Switch) -> None:
        from providers import rehearsals

        broken(switch)
        rehearsals.begin(version=switch.stage(switch.old_ca), actor=SYSTEM, now=timezone.now())
        run_tests()
        assert Alert.objects.get().closed_at is None

    def test_an_editor_dismisses_it(self, switch: Switch, cast: Cast) -> None:
        broken(switch)
        alert = Alert.objects.get()
        browser, address = client_of(cast.editor), reverse("providers:alert_dismiss", args=[alert.pk])
        for _ in range(2):
            assert browser.post(address).status_code == 302
        alert.refresh_from_db()
        assert alert.closed == "dismissed"
        assert AuditEvent.objects.filter(action="alert.dismissed").count() == 1

    def test_it_is_not_restored_once_it_is_closed_otherwise(self, switch: Switch) -> None:
        broken(switch)
        newer = activate(switch.stage(switch.old_ca))
        with pytest.raises(Conflict, match="another version became active"):
            alerts.restore(alert=Alert.objects.get(), actor=SYSTEM, now=timezone.now())
        assert switch.certificate.active == newer

    def test_there_may_be_nothing_to_restore(self, switch: Switch) -> None:
        broken(switch)
        Alert.objects.update(previous=None)
        with pytest.raises(Conflict, match="no version before"):
            alerts.restore(alert=Alert.objects.get(), actor=SYSTEM, now=timezone.now())

    def test_two_people_and_a_double_click_restore_once(self, switch: Switch, cast: Cast) -> None:
        broken(switch)
        address = reverse("providers:alert_restore", args=[Alert.objects.get().pk])
        browsers = [client_of(cast.editor), client_of(cast.owner), client_of(cast.editor)]
        answers = together(*(lambda one=one: one.post(address) for one in browsers))
        assert {answer.status_code for answer in answers} == {302}
        assert AuditEvent.objects.filter(action="version.restored").count() == 1
        assert switch.certificate.active == switch.old

    def test_the_alert_and_the_next_activation_at_once_leave_none_open_for_the_old_one(
        self, switch: Switch
    ) -> None:
        provider = switch.provider("one", switch.old_ca)
        probed(provider)
        activate(switch.stage())
        waiting = provider.reports.get(state="waiting").pk
        newer = switch.stage(switch.old_ca)
        together(lambda: testing.run([waiting], now=timezone.now()), lambda: activate(newer))
        run_tests()
        assert not Alert.objects.filter(closed_at=None).exists()


class TestPages:
    def pages(self, provider: Provider) -> list[str]:
        certificate = provider.key_certificate
        assert certificate
        return ["/", provider.get_absolute_url(), certificate.get_absolute_url()]

    def test_dashboard_provider_and_certificate_show_it_in_red(self, switch: Switch, cast: Cast) -> None:
        provider, _ = broken(switch)
        restore = reverse("providers:alert_restore", args=[Alert.objects.get().pk])
        for address in self.pages(provider):
            page = client_of(cast.editor).get(address).content.decode()
            assert "hero is-expired" in page, address
            assert "Restore version 1" in page, address
            assert restore in page, address

    def test_a_viewer_sees_it_without_buttons_and_addresses(self, switch: Switch, cast: Cast) -> None:
        provider, _ = broken(switch)
        Alert.objects.update(message="Nothing listens on 127.0.0.1.")
        for address in self.pages(provider):
            page = client_of(cast.viewer).get(address).content.decode()
            assert "fails since version 2" in page
            assert "The server does not know the issuer of our certificate." in page
            assert "127.0.0.1" not in page
            assert "Restore version" not in page

    def test_many_that_one_switch_failed_are_one_alert_with_one_way_back(
        self, switch: Switch, cast: Cast
    ) -> None:
        for number in range(10):
            probed(switch.provider(f"backend {number}", switch.old_ca))
        activate(switch.stage())
        run_tests()
        page = client_of(cast.editor).get("/").content.decode()
        assert "10 providers fail since version 2" in page
        assert "and 2 more" in page
        assert page.count("Restore version 1") == 1
        client_of(cast.editor).post(reverse("providers:alert_restore", args=[Alert.objects.all()[0].pk]))
        assert not Alert.objects.filter(closed_at=None).exists()

    def test_once_closed_it_is_gone(self, switch: Switch, cast: Cast) -> None:
        provider, _ = broken(switch)
        activate(switch.old)
        for address in self.pages(provider):
            assert "fails since version" not in client_of(cast.editor).get(address).content.decode()

    def test_another_team_s_alert_is_not_shown(self, switch: Switch, cast: Cast) -> None:
        broken(switch)
        assert "fails since version" not in client_of(cast.outsider).get("/").content.decode()
