// Writes an advisory as plain text, for a mail or a ticket.
//
// in:  { "title": "nginx:1.25", "decision": "block", "score": 100, "findings": [{ "id", "severity", "fixed_by" }] }
// out: { "subject": "[block] nginx:1.25: 2 findings, score 100", "text": "…" }

const ORDER = ['critical', 'high', 'medium', 'low', 'negligible', 'unknown'];

// What others wrote stays one line of text.
function line(value, most) {
  return String(value === undefined || value === null ? '' : value).replace(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, most);
}

function main(params) {
  const findings = Array.isArray(params.findings) ? params.findings : [];
  const rank = (finding) => {
    const place = ORDER.indexOf(String(finding.severity || '').toLowerCase());
    return place < 0 ? ORDER.length : place;
  };
  const sorted = findings.slice().sort((one, other) => rank(one) - rank(other) || (String(one.id) < String(other.id) ? -1 : 1));
  const shown = sorted.slice(0, 50).map((finding) => {
    const fix = finding.fixed_by ? 'fixed by ' + line(finding.fixed_by, 80) : 'no fix yet';
    return '- ' + line(finding.id, 80) + ' (' + line(finding.severity || 'unknown', 20) + '): ' + fix;
  });
  if (sorted.length > shown.length) shown.push('- and ' + (sorted.length - shown.length) + ' more');
  const title = line(params.title || 'unnamed', 120);
  const decision = line(params.decision || 'none', 20);
  return {
    subject: '[' + decision + '] ' + title + ': ' + findings.length + (findings.length === 1 ? ' finding' : ' findings') +
      ', score ' + line(params.score, 10),
    text: [title, 'Decision: ' + decision, '', ...shown].join('\n') + '\n',
  };
}
