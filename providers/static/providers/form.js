// The forms of providers and hosts: fields that open a searchable list, and groups that show only where they matter.
// Without this script the fields are plain ones, with the browser's own list of names.
(() => {
  const form = document.querySelector("#user");
  if (!form) return;
  const said = document.querySelector("#said");

  // A combobox as in the ARIA Authoring Practices: focus stays in the field, the arrow keys move in the list.
  class Pick {
    constructor(box) {
      this.box = box;
      this.field = box.dataset.pick;
      this.input = box.querySelector("input");
      this.input.removeAttribute("list");
      box.querySelector("datalist").remove();
      this.popup = document.createElement("div");
      this.popup.className = "pick-list";
      this.popup.hidden = true;
      box.append(this.popup);
      const attributes = { role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": `${this.input.id}_choices` };
      for (const [name, value] of Object.entries(attributes)) this.input.setAttribute(name, value);
      this.input.addEventListener("input", () => this.search(this.input.value, 150));
      this.input.addEventListener("click", () => this.isOpen() || this.search("", 0));
      this.input.addEventListener("keydown", (event) => this.key(event));
      this.input.addEventListener("blur", () => this.close());
      this.popup.addEventListener("pointerdown", (event) => event.preventDefault());
      this.popup.addEventListener("click", (event) => this.choose(event.target.closest("[role=option]")));
    }

    isOpen() { return !this.popup.hidden; }

    options() { return [...this.popup.querySelectorAll("[role=option]")]; }

    search(text, delay) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.fetch(text), delay);
    }

    async fetch(text) {
      this.request?.abort();
      this.request = new AbortController();
      const store = this.field === "trust_certificate" ? form.elements.trust_store.value : "";
      const query = new URLSearchParams({ field: this.field, q: text, store });
      try {
        const answer = await fetch(`${form.dataset.choices}?${query}`, { signal: this.request.signal });
        if (answer.ok && !answer.redirected) this.open(await answer.text());
      } catch { /* a newer search, or no connection: the field still takes what is typed */ }
    }

    open(list) {
      if (document.activeElement !== this.input) return;
      this.popup.innerHTML = list;
      this.popup.hidden = false;
      this.mark(null);
      const count = this.options().length;
      this.input.setAttribute("aria-expanded", String(count > 0));
      said.textContent = count ? `${count} to choose from.` : "Nothing of this name.";
    }

    close() {
      clearTimeout(this.timer);
      this.request?.abort();
      this.popup.hidden = true;
      this.input.setAttribute("aria-expanded", "false");
      this.mark(null);
    }

    mark(option) {
      this.options().forEach((one) => one.setAttribute("aria-selected", String(one === option)));
      this.marked = option;
      if (option) this.input.setAttribute("aria-activedescendant", option.id);
      else this.input.removeAttribute("aria-activedescendant");
      option?.scrollIntoView({ block: "nearest" });
    }

    choose(option) {
      if (!option) return;
      this.input.value = option.dataset.value;
      this.close();
      this.input.dispatchEvent(new Event("change", { bubbles: true }));
    }

    move(step) {
      if (!this.isOpen()) return this.search("", 0);
      const all = this.options();
      const at = all.indexOf(this.marked);
      if (all.length) this.mark(all[at < 0 && step < 0 ? all.length - 1 : (at + step + all.length) % all.length]);
    }

    key(event) {
      const does = {
        ArrowDown: () => this.move(1),
        ArrowUp: () => this.move(-1),
        Enter: () => this.marked && this.choose(this.marked),
        Escape: () => this.isOpen() && this.close(),
      }[event.key];
      const takes = event.key.startsWith("Arrow") || (event.key === "Enter" && this.marked) || (event.key === "Escape" && this.isOpen());
      if (!does || !takes) return;
      event.preventDefault();
      does();
    }
  }

  // Groups that matter for several choices together (for one choice portal.js knows data-needs). The server leaves out
  // what does not matter, whatever it holds.
  const show = () => {
    const value = (name) => form.elements[name]?.value.trim() ?? "";
    const matters = {
      tls: value("type") === "internet" && form.elements.use_tls?.checked,
      trust_store: value("trust_store") || value("trust_certificate"),
      recognises: value("client_certificate") !== "off",
    };
    form.querySelectorAll("[data-when]").forEach((part) => { part.hidden = !matters[part.dataset.when]; });
  };

  form.querySelectorAll("[data-without-script]").forEach((part) => { part.hidden = true; });
  form.querySelectorAll("[data-pick]").forEach((box) => new Pick(box));
  form.addEventListener("input", show);
  form.addEventListener("change", show);
  show();
})();
