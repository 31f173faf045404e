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

// Domain names among the words: labels in a row that are such, the last a name of a top level.
// Each word is cut up once, so that the time grows with the text and no faster.
function domainsOf(text) {
  const found = [];
  for (const word of text.match(/[\w.-]+/g) || []) {
    let labels = [];
    for (const part of word.split('.').concat('')) {
      const label = part.replace(/^-/, '').replace(/-$/, '');
      if (/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(label)) {
        labels.push(label);
        continue;
      }
      while (labels.length > 0 && !/^[a-z]{2,}$/i.test(labels[labels.length - 1])) labels.pop();
      const name = labels.join('.');
      if (labels.length > 1 && name.length < 254) found.push(name.toLowerCase());
      labels = [];
    }
  }
  return found;
}

function withoutStops(url) {
  let end = url.length;
  while (end > 0 && '.,;:!?'.includes(url[end - 1])) end -= 1;
  return url.slice(0, end);
}

// Every pattern has a bound on what may precede what it needs: a text that is made to be slow
// is not.
function main(params) {
  if (typeof params.text !== 'string') return { error: 'text: the text to look through is missing' };
  const text = refang(params.text);
  const all = (pattern) => once((text.match(pattern) || []).map((found) => found.toLowerCase()));
  const urls = once((text.match(/\bhttps?:\/\/[^\s"'<>()\[\]{}]+/gi) || []).map(withoutStops));
  const ipv4 = all(/\b\d{1,3}(?:\.\d{1,3}){3}\b/g)
    .filter((address) => address.split('.').every((part) => Number(part) <= 255));
  const emails = all(/\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+\b/g);
  const people = new Set(emails.map((email) => email.split('@')[0]));
  const domains = once(domainsOf(text)).filter((name) => !people.has(name));
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
