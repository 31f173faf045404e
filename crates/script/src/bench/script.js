// Picks what is urgent and fixable and sums it up for the team.
var urgent = event.findings.filter(function (finding) {
  return finding.fixed && /^(high|critical)$/.test(finding.severity);
});
var worst = urgent.reduce(function (most, finding) {
  return finding.score > most.score ? finding : most;
}, { score: 0, cve: 'none' });
var packages = urgent.map(function (finding) {
  return finding.package + '@' + finding.version;
});
var production = event.labels.env === 'production';
if (urgent.length > 0 && production) {
  nextAction = 'notify';
  result = {
    to: event.labels.team + '@example.com',
    subject: worst.cve + ' in ' + event.image.replace(/:.*$/, ''),
    packages: packages,
    score: worst.score,
  };
}
