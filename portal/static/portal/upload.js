// The upload form: dropped files, progress, and a form that shows only what matters. Works without it too.
(() => {
  const wire = () => {
    const form = document.querySelector("#upload");
    if (!form || form.dataset.wired) return;
    form.dataset.wired = "yes";
    delete form.dataset.sent;
    form.querySelectorAll("[data-with-script]").forEach((part) => { part.hidden = false; });
    drop(form);
    stores(form);
    const errors = document.querySelector("#errors");
    if (errors) errors.focus();
  };

  const drop = (form) => {
    const area = form.querySelector("[data-drop]");
    const give = (input, file) => {
      const box = new DataTransfer();
      box.items.add(file);
      input.files = box.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    };
    area.addEventListener("dragover", (event) => { event.preventDefault(); area.classList.add("is-over"); });
    area.addEventListener("dragleave", () => area.classList.remove("is-over"));
    area.addEventListener("drop", (event) => {
      event.preventDefault();
      area.classList.remove("is-over");
      const files = [...event.dataTransfer.files];
      const key = files.length > 1 ? files.find((file) => /\.key$/i.test(file.name)) || files[1] : null;
      const main = files.find((file) => file !== key);
      if (main) give(form.elements.file, main);
      if (key) {
        give(form.elements.key_file, key);
        form.elements.key_file.closest("details").open = true;
      }
    });
  };

  // Shows the stores of the chosen kind, and the fields of a new store only for a new one.
  const stores = (form) => {
    const select = form.elements.store;
    if (!select) return;
    const show = () => {
      const kind = form.elements.kind.value;
      for (const option of select.options) {
        const fits = !option.value || option.text.endsWith(kind === "key" ? "(key store)" : "(trust store)");
        option.hidden = option.disabled = !fits;
        if (!fits && option.selected) select.value = "";
      }
      for (const name of ["store_name", "store_description"]) form.elements[name].closest(".field").hidden = Boolean(select.value);
    };
    form.addEventListener("change", show);
    show();
  };

  document.addEventListener("htmx:xhr:progress", (event) => {
    const bar = document.querySelector("#upload progress");
    if (!bar || !event.detail.lengthComputable) return;
    bar.hidden = false;
    bar.value = event.detail.loaded / event.detail.total;
  });
  document.addEventListener("htmx:afterSettle", wire);
  document.addEventListener("htmx:sendError", () => {
    const form = document.querySelector("#upload");
    delete form.dataset.sent;
    document.querySelector("#said").textContent = "The connection was lost. Nothing was saved; try again.";
  });
  wire();
})();
