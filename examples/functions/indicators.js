// Finds indicators of compromise in a text, defanged or not, each once and in its usual form.
//
// in:  { "text": "…hxxps://evil[.]example/a and 198.51.100[.]7…" }
// out: { "urls": [], "ipv4": [], "domains": [], "emails": [], "hashes": { "md5": [], "sha1": [], "sha256": [] }, "count": 3 }
//
// With { "defang": true } they come out defanged, for reports that nobody should click in.

function refang(text) {
  return text
    .replace(/\bhxxp/gi, 'http')
    .replace(/\[:\]/g, ':')
    .replace(/\[:\/\/\]/g, '://')
    .replace(/\[(?:\.|dot)\]|\((?:\.|dot)\)/gi, '.')
    .replace(/\[(?:@|at)\]|\((?:@|at)\)/gi, '@');
}

function defang(indicator) {
  return indicator.replace(/^http/i, 'hxxp').replace(/\./g, '[.]').replace(/@/g, '[@]');
}

function once(list) {
  return Array.from(new Set(list)).sort();
}

function main(params) {
  if (typeof params.text !== 'string') return { error: 'text: the text to look through is missing' };
  const text = refang(params.text);
  const all = (pattern) => once((text.match(pattern) || []).map((found) => found.toLowerCase()));
  const urls = once((text.match(/\bhttps?:\/\/[^\s"'<>()\[\]{}]+/gi) || [])
    .map((url) => url.replace(/[.,;:!?]+$/, '')));
  const ipv4 = all(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g)
    .filter((address) => address.split('.').every((part) => Number(part) <= 255));
  const emails = all(/\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b/g);
  const domains = all(/\b(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}\b/gi)
    .filter((name) => !emails.some((email) => email.startsWith(name + '@')));
  const hashes = {
    md5: all(/\b[0-9a-f]{32}\b/gi),
    sha1: all(/\b[0-9a-f]{40}\b/gi),
    sha256: all(/\b[0-9a-f]{64}\b/gi),
  };
  const shape = params.defang === true ? (list) => list.map(defang) : (list) => list;
  const found = [urls, ipv4, domains, emails, hashes.md5, hashes.sha1, hashes.sha256];
  return {
    urls: shape(urls),
    ipv4: shape(ipv4),
    domains: shape(domains),
    emails: shape(emails),
    hashes,
    count: found.reduce((sum, list) => sum + list.length, 0),
  };
}
