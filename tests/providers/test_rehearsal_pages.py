"""The pages of a rehearsal, and the way to it from an upload."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.audit import SYSTEM
from providers import rehearsals, testing
from providers.models import Provider, Rehearsal
from stores.models import Version
from tests.cast import Cast, client_of
from tests.providers.backends import Switch, begin, client, outcome, run_tests, state
from tests.running import free_port
from tests.stores.steps import propose

pytestmark = pytest.mark.django_db(transaction=True)


class TestPages:
    def address(self, rehearsal: Rehearsal) -> str:
        return reverse("providers:rehearsal", args=[rehearsal.pk])

    def test_while_it_runs_the_page_says_how_far_it_is_and_asks_again(
        self, switch: Switch, cast: Cast
    ) -> None:
        switch.provider("one")
        page = client_of(cast.viewer).get(self.address(begin(switch.stage()))).content.decode()
        assert "0 of 1 tried" in page
        assert 'hx-trigger="every 1s"' in page
        assert "Activate now" not in page

    def test_all_pass_and_one_click_activates(self, switch: Switch, cast: Cast) -> None:
        switch.provider("one")
        staged = switch.stage()
        rehearsal = begin(staged)
        run_tests()
        browser = client_of(cast.editor)
        page = browser.get(self.address(rehearsal)).content.decode()
        assert "hx-trigger" not in page
        activation = reverse("stores:version_activate", args=[staged.pk])
        assert f'action="{activation}"' in page
        assert reverse("stores:version_schedule", args=[staged.pk]) in page
        assert browser.post(activation).status_code == 302
        assert state(staged) == "active"

    def test_one_fails_and_an_editor_reads_why_and_cannot_activate(self, switch: Switch, cast: Cast) -> None:
        switch.provider("orders backend", switch.old_ca)
        switch.provider("good")
        staged = switch.stage()
        rehearsal = begin(staged)
        run_tests()
        browser = client_of(cast.editor)
        page = browser.get(self.address(rehearsal)).content.decode()
        assert "1 of 2 fails" in page
        assert "its rehearsal failed at orders backend" in page
        assert "does not know the issuer of our certificate" in page
        assert "Activate now" not in page
        assert "anyway</button>" not in page, "that is for owners"
        asked = browser.get(reverse("stores:version_activate", args=[staged.pk])).content.decode()
        assert "its rehearsal failed at orders backend" in asked
        assert 'type="submit" class="btn btn-primary"' not in asked
        answer = browser.post(reverse("stores:version_activate", args=[staged.pk]))
        assert answer.status_code == 409
        assert "is held" in answer.content.decode()

    def test_who_failed_in_the_same_way_before_is_told_apart(self, switch: Switch, cast: Cast) -> None:
        switch.provider("down", switch.old_ca, port=free_port())
        refusing = switch.provider("refusing", switch.old_ca)
        for provider in Provider.objects.all():
            testing.ask(provider=provider, reason="asked", actor=SYSTEM, now=timezone.now())
        run_tests()
        rehearsal = begin(switch.stage())
        run_tests()
        page = client_of(cast.viewer).get(self.address(rehearsal)).content.decode()
        assert "2 of 2 fail" in page and page.count("It failed in the same way before") == 1
        rehearsal.refresh_from_db()
        rehearsals.activate_anyway(
            rehearsal=rehearsal, reason="It has to be.", actor=SYSTEM, now=timezone.now()
        )
        run_tests()
        assert not refusing.reports.first().ok  # type: ignore[union-attr]
        page = client_of(cast.viewer).get(self.address(rehearsal)).content.decode()
        assert page.count("It failed in the same way before") == 1, (
            "what came after it says nothing of before"
        )

    def test_an_owner_types_a_reason(self, switch: Switch, cast: Cast) -> None:
        switch.provider("one", switch.old_ca)
        staged = switch.stage()
        rehearsal = begin(staged)
        run_tests()
        browser = client_of(cast.owner)
        assert "anyway</button>" in browser.get(self.address(rehearsal)).content.decode()
        address = reverse("providers:activate_anyway", args=[rehearsal.pk])
        refused = browser.post(address, {"reason": ""})
        assert refused.status_code == 422
        assert "Say why it becomes active" in refused.content.decode()
        assert browser.post(address, {"reason": "It has to be."}).status_code == 302
        assert state(staged) == "active"

    def test_a_viewer_reads_no_address(self, switch: Switch, cast: Cast) -> None:
        provider = switch.provider("one")
        switch.provider("inside", host="10.1.2.3")
        type(provider).objects.filter(pk=provider.pk).update(port=1)
        rehearsal = begin(switch.stage())
        run_tests()
        page = client_of(cast.viewer).get(self.address(rehearsal)).content.decode()
        assert "Nothing listens on the port" in page
        for address in ("127.0.0.1", "10.1.2.3"):
            assert address not in page
        assert "10.1.2.3" in client_of(cast.editor).get(self.address(rehearsal)).content.decode()

    def test_the_pages_of_the_version_say_what_came_of_it(self, switch: Switch, cast: Cast) -> None:
        switch.provider("one", switch.old_ca)
        staged = switch.stage()
        rehearsal = begin(staged)
        run_tests()
        browser = client_of(cast.editor)
        for address in (reverse("stores:version", args=[staged.pk]), staged.certificate.get_absolute_url()):
            page = browser.get(address).content.decode()
            assert "Rehearsal failed" in page
            assert self.address(rehearsal) in page
            assert reverse("providers:rehearse", args=[staged.pk]) in page


class TestUpload:
    def review(self, switch: Switch, cast: Cast) -> tuple[Client, str]:
        browser = client_of(cast.editor)
        leaf = client("orders", switch.new_ca)
        return browser, propose(browser, reverse("stores:replace", args=[switch.certificate.pk]), leaf)

    def save(self, browser: Client, address: str, **fields: str) -> Any:
        form = browser.get(address).context["form"]
        usual = {name: form.initial[name] for name in ("destination", "name", "seen")}
        return browser.post(address, usual | {"do": "save", "timing": "rehearse"} | fields)

    def test_trying_first_is_recommended_where_a_provider_can_be_tried(
        self, switch: Switch, cast: Cast
    ) -> None:
        switch.provider("one")
        browser, address = self.review(switch, cast)
        form = browser.get(address).context["form"]
        assert form["timing"].value() == "rehearse"
        assert "recommended" in dict(form.fields["timing"].choices)["rehearse"]

    def test_it_is_no_choice_where_nothing_can_be_tried(self, switch: Switch, cast: Cast) -> None:
        switch.provider("inside", host="10.1.2.3")
        browser, address = self.review(switch, cast)
        form = browser.get(address).context["form"]
        assert "rehearse" not in dict(form.fields["timing"].choices)
        assert form["timing"].value() == "now"

    def test_saving_leads_to_the_rehearsal(self, switch: Switch, cast: Cast) -> None:
        switch.provider("one")
        answer = self.save(*self.review(switch, cast))
        rehearsal = Rehearsal.objects.get()
        assert answer.headers["Location"] == reverse("providers:rehearsal", args=[rehearsal.pk])
        assert (rehearsal.version.number, rehearsal.version.state) == (2, "staged")
        run_tests()
        assert outcome(rehearsal) == "passed"

    def test_where_nothing_uses_it_any_more_it_is_kept_staged_and_said(
        self, switch: Switch, cast: Cast
    ) -> None:
        provider = switch.provider("one")
        browser, address = self.review(switch, cast)
        provider.delete()
        answer = self.save(browser, address)
        assert answer.headers["Location"] == switch.certificate.get_absolute_url()
        assert state(Version.objects.get(number=2, certificate=switch.certificate)) == "staged"
        page = browser.get(answer.headers["Location"]).content.decode()
        assert "there is nothing to try it against" in page

    def test_a_new_certificate_becomes_active_since_nothing_uses_it(self, switch: Switch, cast: Cast) -> None:
        switch.provider("one")
        browser, address = self.review(switch, cast)
        self.save(browser, address, destination="new", name="another")
        assert Version.objects.get(certificate__name="another").state == "active"
