// Small comforts; every page works without them.
(() => {
  const search = document.querySelector("#search");
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
    if (event.key === "Escape") {
      document.querySelectorAll("details.menu-box[open]").forEach((box) => {
        if (box.contains(document.activeElement)) box.querySelector("summary").focus();
        box.removeAttribute("open");
      });
      if (location.hash === "#menu") location.hash = "";
    }
  });

  document.addEventListener("click", async (event) => {
    document.querySelectorAll("details.menu-box[open]").forEach((box) => {
      if (!box.contains(event.target)) box.removeAttribute("open");
    });
    const copy = event.target.closest("button[data-copy]");
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      document.querySelector("#said").textContent = "Copied.";
      copy.classList.add("is-done");
      setTimeout(() => copy.classList.remove("is-done"), 1500);
    }
    const theme = event.target.closest("button[data-theme]");
    if (theme) {
      const wanted = theme.dataset.theme;
      if (wanted === "system") localStorage.removeItem("theme");
      else localStorage.setItem("theme", wanted);
      const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
      document.documentElement.dataset.bsTheme = wanted === "system" ? system : wanted;
    }
  });

  // A form that was sent is not sent again by a second click; coming back makes it usable again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) event.preventDefault();
    else if (form.method === "post" && !("download" in form.dataset)) form.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

  document.querySelectorAll("select[data-submit]").forEach((select) => {
    select.addEventListener("change", () => select.form.requestSubmit());
    select.form.querySelectorAll("[data-without-script]").forEach((button) => { button.hidden = true; });
  });

  // A field that matters only with a certain choice is shown only with it: data-needs="name=value".
  document.querySelectorAll("[data-needs]").forEach((part) => {
    const [name, value] = part.dataset.needs.split("=");
    const form = part.closest("form");
    const show = () => { part.hidden = form.elements[name] && form.elements[name].value !== value; };
    form.addEventListener("change", show);
    show();
  });

  const errors = document.querySelector("#errors");
  if (errors) errors.focus();
})();
