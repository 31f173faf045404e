// Says what local lists know of an IPv4 address: networks with a label and how bad they are.
//
// in:  { "ip": "198.51.100.7", "networks": { "198.51.100.0/24": { "label": "scanner", "score": 80 } } }
// out: { "ip": "198.51.100.7", "known": true, "score": 80, "labels": ["scanner"], "networks": ["198.51.100.0/24"] }
//
// `networks` is best bound to the action as a parameter, so that callers send the address only.

function number(address) {
  const parts = String(address).split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return null;
  return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

function holds(network, ip) {
  const [address, bits] = network.split('/');
  const size = bits === undefined ? 32 : Number(bits);
  const start = number(address);
  if (start === null || !(size >= 0 && size <= 32)) throw new Error('no IPv4 network: ' + network);
  const block = Math.pow(2, 32 - size);
  return Math.floor(start / block) === Math.floor(ip / block);
}

function main(params) {
  const ip = number(params.ip);
  if (ip === null) return { error: 'ip: not an IPv4 address: ' + params.ip };
  const networks = params.networks || {};
  const found = Object.keys(networks).filter((network) => holds(network, ip)).sort();
  const labels = found.map((network) => networks[network].label).filter((label) => label !== undefined);
  const score = found.reduce((most, network) => Math.max(most, Number(networks[network].score) || 0), 0);
  return { ip: params.ip, known: found.length > 0, score, labels: Array.from(new Set(labels)), networks: found };
}
