// Starts a mail server, a stand-in for Clair and Conche with its OpenWhisk host, sends real captured
// events, kills Conche in the middle, and shows what became of everything. Run by `make demo`.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";

const [conche, python] = process.argv.slice(2);
const here = new URL(".", import.meta.url).pathname;
const examples = `${here}../`;
const data = process.env.DEMO_DATA || "demo-data";
const bold = (text) => (process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[1m${text}\x1b[0m` : text);
const children = new Set();
/** What the playbook shows the mail gateway. */
const token = randomBytes(24).toString("base64url");

function start(command, args, options) {
  // Its own process group: Ctrl-C reaches this script, which stops its children in order.
  const child = spawn(command, args, { ...options, detached: true });
  children.add(child);
  child.ended = new Promise((resolve) => child.on("exit", (code, signal) => { children.delete(child); resolve({ code, signal }); }));
  return child;
}

/** Waits until `look` gives something, at most `seconds`. */
async function until(what, look, seconds = 60) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    const found = await Promise.resolve().then(look).catch(() => undefined);
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited ${seconds} s in vain for ${what}`);
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => { const { port } = server.address(); server.close(() => resolve(port)); });
  });
}

async function startMail() {
  const folder = `${data}/mail`;
  mkdirSync(folder, { recursive: true });
  if (!existsSync(python)) return { folder, port: await freePort(), missing: true };
  const server = start(python, [`${here}smtp-server.py`, folder], { stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  server.stdout.on("data", (chunk) => (out += chunk));
  const port = await until("the mail server", () => out.match(/listening (\d+)/)?.[1]);
  return { folder, port: Number(port) };
}

/** Answers as Clair 3 does about its notifications: a captured one, with other findings in it. */
function startClair() {
  const captured = readFileSync(`${here}events/clair-notification.json`, "utf8");
  const findings = {
    "n-1": { name: "CVE-2099-0001", severity: "Critical", fixedBy: "3.0.9-1" },
    "n-2": { name: "CVE-2099-0002", severity: "Low", fixedBy: "" },
  };
  const server = createHttpServer((request, response) => {
    const name = new URL(request.url, "http://clair").pathname.split("/").pop();
    const told = JSON.parse(captured);
    told.notification.name = name;
    Object.assign(told.notification.new.vulnerability, findings[name] ?? findings["n-1"]);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(request.method === "GET" ? told : {}));
  });
  server.unref();
  return new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", () => resolve(server.address().port)));
}

/** The playbook of the examples, which mails through this demo's gateway. */
function writePlaybook(hooks) {
  const text = readFileSync(`${examples}playbooks/judge-image.json`, "utf8");
  mkdirSync(`${data}/playbooks`);
  writeFileSync(`${data}/playbooks/judge-image.json`, text.replaceAll(/https:\/\/(mail|oncall)\.example\.com/g, hooks));
}

/** Defines the functions that the playbook calls, on the OpenWhisk host within Conche. */
async function defineFunctions() {
  const properties = readFileSync(`${data}/store/openwhisk.wskprops`, "utf8");
  const property = (name) => properties.match(new RegExp(`^${name}=(.*)$`, "m"))[1];
  for (const name of ["score-report", "advisory"]) {
    const code = readFileSync(`${examples}functions/${name}.js`, "utf8");
    const answer = await fetch(`${property("APIHOST")}/api/v1/namespaces/_/actions/${name}`, {
      method: "PUT",
      headers: { "content-type": "application/json", authorization: `Basic ${btoa(property("AUTH"))}` },
      body: JSON.stringify({ exec: { kind: "quickjs:1", code } }),
    });
    if (!answer.ok) throw new Error(`the function ${name}: ${await answer.text()}`);
  }
}

async function startConche(ports, mail) {
  const child = start(conche, ["serve", "--config", `${here}conche.yaml`], {
    stdio: ["ignore", "ignore", "pipe"],
    env: {
      ...process.env,
      CONCHE_DATA_DIR: `${data}/store`,
      CONCHE_API__LISTEN: `127.0.0.1:${ports.api}`,
      CONCHE_WEBHOOKS__LISTEN: `127.0.0.1:${ports.webhooks}`,
      CONCHE_OPENWHISK__HOST__LISTEN: `127.0.0.1:${ports.openwhisk}`,
      CONCHE_PLAYBOOKS__DIR: `${data}/playbooks`,
      CONCHE_SOURCES__5__NOTIFICATION_ENDPOINT: `http://127.0.0.1:${ports.clair}/notifications`,
      CONCHE_ACTIONS__MAIL__PORT: String(mail.port),
      DEMO_MAIL_TOKEN: token,
    },
  });
  const log = [];
  child.stderr.on("data", (chunk) => log.push(chunk));
  const began = Date.now();
  child.on("exit", (code) => { if (code) console.error(Buffer.concat(log).toString()); });
  await until("Conche to be ready", async () => child.exitCode === null && (await fetch(`http://127.0.0.1:${ports.api}/readyz`)).ok);
  child.readyAfter = Date.now() - began;
  child.log = log;
  return child;
}

async function main() {
  rmSync(data, { recursive: true, force: true });
  mkdirSync(data, { mode: 0o700 });
  const ports = { api: await freePort(), webhooks: await freePort(), openwhisk: await freePort(), clair: await startClair() };
  const api = `http://127.0.0.1:${ports.api}/api/v1`;
  const hooks = `http://127.0.0.1:${ports.webhooks}`;
  const capture = (name) => readFileSync(`${here}events/${name}.json`, "utf8");
  const get = async (path) => (await fetch(api + path)).json();
  const post = async (path, name) => {
    const answer = await fetch(hooks + path, { method: "POST", headers: { "content-type": "application/json" }, body: capture(name) });
    const body = await answer.json().catch(() => ({}));
    return { status: answer.status, body, event: answer.headers.get("conche-event-id") };
  };
  const eventsOf = (sent) => sent.event ? [sent.event] : (sent.body.events ?? [sent.body]).map((one) => one.event_id);

  writePlaybook(hooks);
  const mail = await startMail();
  if (mail.missing) console.log("skipped: no real mail server (aiosmtpd) could be installed; mails will be retried");
  let server = await startConche(ports, mail);
  console.log(`\nConche is ready after ${server.readyAfter} ms on ${bold(api)} and ${bold(hooks)}\n`);
  await defineFunctions();

  const rows = [];
  const send = async (what, path, name) => {
    const sent = await post(path, name);
    console.log(`  sent ${what}: HTTP ${sent.status}`);
    rows.push({ what, sent, events: eventsOf(sent) });
    return sent;
  };
  await send("Nova: power-off failed", "/nova", "nova-error");
  await send("Nova: power-on ended", "/nova", "nova-info");
  await send("registry: team/app pushed", "/registry", "registry-push");
  await send("registry: the same again", "/registry", "registry-push");
  await send("registry: tmp-xmrig pushed", "/registry", "registry-push-bad-name");
  const good = await send("image review: nginx:1.25", "/image_policy", "image-review-good");
  const bad = await send("image review: registry.local/bad:1", "/image_policy", "image-review-bad");
  await send("a script that never ends", "/misbehave", "image-review-good");
  console.log(`\n  review of nginx:1.25            → ${JSON.stringify(good.body.status)}`);
  console.log(`  review of registry.local/bad:1  → ${JSON.stringify(bad.body.status)}`);

  await judge(get, hooks, mail);

  // What was acknowledged survives anything.
  await finished(get, rows, mail.missing);
  // The run that failed is an event too; the mail about it takes a moment more.
  if (!mail.missing) await until("the mail about the failed run", () => mails(mail.folder).some((one) => one.to.startsWith("soc@")));
  const before = mails(mail.folder).length;
  const burst = 40;
  const asked = await Promise.all(Array.from({ length: burst }, () => post("/nova", "nova-error")));
  process.kill(server.pid, "SIGKILL");
  await server.ended;
  console.log(`\n  ${asked.length} more Nova errors were acknowledged, and at once Conche was killed (kill -9)`);
  server = await startConche(ports, mail);
  const restarted = Date.now();
  const again = asked.map((sent) => ({ what: "", sent, events: eventsOf(sent) }));
  const done = await finished(get, again, mail.missing);
  const arrived = new Set(mails(mail.folder).map((one) => one.id));
  console.log(`  restarted in ${server.readyAfter} ms: ${done} of ${asked.length} runs finished ${Date.now() - restarted} ms later, ${arrived.size} different mails arrived in all (repeats carry the same Message-ID)`);

  await table(get, rows);
  showMails(mail, before);
  await until("a heartbeat", async () => (await get("/runs?reaction=heartbeat")).runs?.length, 15);
  howToGoOn(api, hooks);
  if (!process.stdout.isTTY && process.env.DEMO !== "stay") {
    console.log("\nnot a terminal: ending here (DEMO=stay keeps it running)");
    await stop();
    return;
  }
  console.log(bold("\nConche goes on running. Ctrl-C ends it."));
  const { code } = await server.ended;
  if (!stopping) throw new Error(`Conche ended by itself with ${code}`);
}

/** Clair finds something; a reaction starts a playbook, whose functions decide whether that is mailed. */
async function judge(get, hooks, mail) {
  console.log(`\n${bold("Clair finding → reaction → playbook → functions → decision → mail")}`);
  for (const name of ["n-1", "n-2"]) {
    const word = JSON.stringify({ Notification: { Name: name } });
    await fetch(`${hooks}/clair`, { method: "POST", headers: { "content-type": "application/json" }, body: word });
  }
  const runs = await until("the playbook's runs", async () => {
    const { runs } = await get("/runs?reaction=judge-finding&status=succeeded");
    const details = await Promise.all(runs.map((run) => get(`/runs/${run.run_id}`)));
    const begun = details.flatMap((run) => run.steps.map((step) => step.output?.run_id).filter(Boolean));
    const playbooks = await Promise.all(begun.map((run) => get(`/runs/${run}`)));
    return playbooks.length === 2 && playbooks.every((run) => ["succeeded", "failed"].includes(run.status)) && playbooks;
  });
  for (const { status, variables, run_id } of runs.sort((one, other) => (one.run_id < other.run_id ? -1 : 1))) {
    const finding = `${variables.__vulnerability__} (${variables.__severity__}) in ${variables.__image__}`;
    const done = variables.__subject__ ? `advisory → mailed "${variables.__subject__}"` : "nothing to mail";
    console.log(`  ${finding}\n    score-report: ${variables.__score__}, ${bold(variables.__decision__)} → ${done}   (run ${run_id}: ${status})`);
  }
  if (!mail.missing) await until("the advisory", () => mails(mail.folder).some((one) => one.to.startsWith("security@")));
}

/** Waits until every run of these events is over; gives how many succeeded. */
async function finished(get, rows, noMail) {
  let succeeded = 0;
  for (const id of rows.flatMap((row) => row.events)) {
    await until(`the runs of event ${id}`, async () => {
      const { runs } = await get(`/runs?event=${id}`);
      const over = runs.every((run) => ["succeeded", "failed", "cancelled"].includes(run.status));
      if (over) succeeded += runs.filter((run) => run.status === "succeeded").length;
      return over || noMail;
    }, 120);
  }
  return succeeded;
}

async function table(get, rows) {
  const lines = [["sent", "reaction", "what it did", "outcome"]];
  const shown = new Set();
  for (const row of rows) {
    let any = false;
    for (const id of row.events) {
      const { runs } = await get(`/runs?event=${id}`);
      for (const run of runs) {
        any = true;
        if (shown.has(run.run_id)) { lines.push([row.what, run.definition, "recognised as the same event", "done once"]); continue; }
        shown.add(run.run_id);
        const { steps = [] } = await get(`/runs/${run.run_id}`);
        const actions = steps.filter((step) => !step.step_id.endsWith("script")).map((step) => step.step_id);
        lines.push([row.what, run.definition, actions.join(", ") || "nothing", run.status + (run.reason ? `: ${run.reason}` : "")]);
      }
    }
    if (!any) lines.push([row.what, "–", "no reaction wanted it", "stored"]);
  }
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  console.log();
  lines.forEach((line, number) => {
    const text = "  " + line.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd();
    console.log(number ? text : bold(text));
  });
}

function mails(folder) {
  const files = readdirSync(folder).filter((name) => name.endsWith(".eml")).sort();
  return files.map((name) => {
    const text = readFileSync(`${folder}/${name}`, "utf8");
    const header = (field) => text.match(new RegExp(`^${field}: *(.*)$`, "mi"))?.[1]?.trim() ?? "";
    return { name, to: header("To"), subject: header("Subject"), id: header("Message-ID") };
  });
}

function showMails(mail, count) {
  console.log(`\n${bold("Mail that arrived")} (all of it in ${mail.folder}/)`);
  for (const one of mails(mail.folder).slice(0, count)) console.log(`  ${one.to}  ${one.subject}`);
}

function howToGoOn(api, hooks) {
  const server = api.replace("/api/v1", "");
  console.log(`
${bold("Look")}
  export CONCHE_SERVER=${server}
  ${conche} runs list
  ${conche} runs show RUN_ID        every script, verdict, attempt and answer of a run
  ${conche} events list
${bold("Change a decision")}
  Edit examples/demo/reactions/image-review.yaml (say, deny nginx), save, and ask again:
  curl -s ${hooks}/image_policy -H 'content-type: application/json' -d @examples/demo/events/image-review-good.json
${bold("Have Clair find more")} (by another name each time: the same notification is the same event)
  curl -s ${hooks}/clair -H 'content-type: application/json' -d '{"Notification":{"Name":"n-3"}}'
  The playbook is ${data}/playbooks/judge-image.json, its functions are in examples/functions.
${bold("Send an event of your own")}
  curl -s ${hooks}/nova -H 'content-type: application/json' -d @examples/demo/events/nova-error.json`);
}

let stopping = false;
async function stop() {
  stopping = true;
  // Conche first, so that it can still send the mail that is under way.
  for (const child of [...children].reverse()) {
    child.kill("SIGTERM");
    await child.ended;
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (stopping) process.exit(1);
    console.log("\nstopping ...");
    stop().then(() => { console.log("stopped; demo-data/ keeps what happened"); process.exit(0); });
  });
}
main().catch(async (error) => {
  if (stopping) return;
  console.error(`demo: ${error.message}`);
  await stop();
  process.exit(1);
});
