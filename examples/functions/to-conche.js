// Tells Conche: what a trigger was fired with, or a sequence has come to, becomes an event there.
// A rule starts it; Conche receives it by a webhook source with `verify: { standard_webhooks: … }`.
//
// in:  any object
// out: { "event": "…", "status": 202 }   the event's id, which is that of the activation
//
// Where to and with which key its owner says, by parameters for the start (`"init": true`): they
// come by the environment, so that nobody who fires the trigger can change them.
//   CONCHE_URL   the webhook, such as https://conche.example.com:8889/functions
//   CONCHE_KEY   the source's secret: whsec_ and 24 bytes or more in base64

const crypto = require('crypto');

const SECRET = Buffer.from((process.env.CONCHE_KEY || '').replace(/^whsec_/, ''), 'base64');

async function main(params) {
  if (!process.env.CONCHE_URL || SECRET.length === 0) {
    return { error: 'bind CONCHE_URL and CONCHE_KEY as parameters for the start' };
  }
  // The request's headers are of no use there, and may hold what is the caller's.
  const { __ow_headers: _headers, ...payload } = params;
  const body = JSON.stringify(payload);
  // A delivery that is sent again is the same event.
  const id = process.env.__OW_ACTIVATION_ID;
  const at = String(Math.floor(Date.now() / 1000));
  const signature = crypto.createHmac('sha256', SECRET).update(`${id}.${at}.${body}`).digest('base64');
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': at,
    'webhook-signature': `v1,${signature}`,
  };
  // A redirect would lead to somebody else.
  const request = { method: 'POST', headers, body, redirect: 'error', signal: AbortSignal.timeout(10000) };
  const answer = await fetch(process.env.CONCHE_URL, request);
  if (!answer.ok) return { error: `Conche answered ${answer.status}: ${(await answer.text()).slice(0, 200)}` };
  return { event: id, status: answer.status };
}
