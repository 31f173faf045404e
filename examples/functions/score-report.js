// Turns findings of a scan into one score and a decision that a playbook can branch on.
//
// in:  { "findings": [{ "id": "CVE-2026-1", "severity": "Critical", "fixed_by": "1.2.3", "exploited": true }],
//        "block_at": 90 }
// out: { "score": 100, "decision": "block" | "fix" | "accept", "counts": { "critical": 1, … },
//        "fixable": 1, "exploited": ["CVE-2026-1"] }
//
// The worst finding counts most; each further one of its severity adds a little. One that is known
// to be exploited counts as critical.

const WEIGHTS = { critical: 90, high: 70, medium: 40, low: 10, negligible: 2, unknown: 5 };

function main(params) {
  if (!Array.isArray(params.findings)) return { error: 'findings: a list is missing' };
  const counts = { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 };
  const exploited = [];
  let fixable = 0;
  for (const finding of params.findings) {
    const named = String(finding.severity || 'unknown').toLowerCase();
    const severity = finding.exploited === true ? 'critical' : WEIGHTS[named] === undefined ? 'unknown' : named;
    counts[severity] += 1;
    if (finding.exploited === true) exploited.push(String(finding.id));
    if (finding.fixed_by) fixable += 1;
  }
  const worst = Object.keys(WEIGHTS)
    .filter((severity) => counts[severity] > 0)
    .sort((one, other) => WEIGHTS[other] - WEIGHTS[one])[0];
  const score = worst === undefined ? 0 : Math.min(100, WEIGHTS[worst] + 2 * (counts[worst] - 1) + (exploited.length > 0 ? 10 : 0));
  const limit = typeof params.block_at === 'number' ? params.block_at : 90;
  const decision = score >= limit ? 'block' : fixable > 0 && score >= WEIGHTS.medium ? 'fix' : 'accept';
  return { score, decision, counts, fixable, exploited: exploited.sort() };
}
