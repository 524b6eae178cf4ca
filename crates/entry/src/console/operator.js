// What only operators see: who is connected, one of them in full, and its end.

const SHOWN = 20;

const operator = {
  /** Whether the server has answered so far. */
  may: false,

  async look() {
    const { status, json } = await ask(`connections?sort=waiting&limit=${SHOWN}`);
    this.may = status === 200;
    element("clients").hidden = !this.may;
    element("unlock").hidden = this.may;
    if (!this.may) {
      const refused = adminToken !== "" && (status === 401 || status === 403);
      element("locked").textContent = refused
        ? "That is not the admin token."
        : "Who is connected is shown to operators: on this machine, or with the admin token.";
      return;
    }
    const { connections, total } = json;
    element("clients-count").textContent =
      total > connections.length ? `${whole.format(total)} in all, those for whom most is waiting first` : "";
    element("rows").replaceChildren(...connections.map(clientRow));
  },
};

const clientRow = (client) => {
  const line = make("tr");
  const more = make("td", "", { className: "number" });
  const button = make("button", "Details", { type: "button" });
  button.setAttribute("aria-label", `Details of ${client.id}`);
  button.addEventListener("click", () => void showClient(client.id));
  more.append(button);
  const topics = (client.subscriptions ?? []).map((one) => one.topics ?? one.pattern ?? "").join(" ");
  line.append(
    make("th", client.id, { scope: "row" }),
    make("td", lasted((Date.now() - client.since) / 1000)),
    make("td", topics),
    make("td", bytes(client.queue_bytes ?? 0), { className: "number" }),
    make("td", whole.format(client.ledger?.confirmed ?? 0), { className: "number" }),
    more,
  );
  return line;
};

let detailed = null;

const showClient = async (id) => {
  detailed = id;
  const { status, json } = await ask(`connections/${id}`);
  element("detail-title").textContent = id;
  element("detail-text").textContent = status === 200 ? JSON.stringify(json, null, 2) : "It is not connected any more.";
  element("detail-told").textContent = "";
  element("close").hidden = status !== 200;
  element("close").textContent = "Close this connection";
  element("close").dataset.sure = "";
  if (!element("detail").open) element("detail").showModal();
};

element("close").addEventListener("click", async ({ target }) => {
  if (target.dataset.sure === "") {
    target.dataset.sure = "yes";
    target.textContent = "Close it: press again";
    return;
  }
  const { status, json } = await ask(`connections/${detailed}`, { method: "DELETE" });
  target.hidden = true;
  element("detail-told").textContent =
    status === 200 ? "It is told to go (4013), and does not come back by itself." : (json?.error?.message ?? `answered with ${status}`);
});

element("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  adminToken = element("token").value;
  element("token").value = "";
  void operator.look().catch(() => {});
});

