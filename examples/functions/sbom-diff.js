// Compares two CycloneDX or SPDX documents (JSON): what came, what went, what changed its version.
//
// in:  { "before": { … }, "after": { … } }
// out: { "added": [{name, version}], "removed": […], "changed": [{name, before, after}], "same": 12 }

function components(document, where) {
  if (document === null || typeof document !== 'object') throw new Error(where + ': no document');
  const list = Array.isArray(document.components)
    ? document.components.map((one) => [one.purl ? one.purl.replace(/@[^@]*$/, '') : one.name, one.version])
    : Array.isArray(document.packages)
      ? document.packages.map((one) => [one.name, one.versionInfo])
      : null;
  if (list === null) throw new Error(where + ': neither CycloneDX (components) nor SPDX (packages)');
  const versions = {};
  for (const [name, version] of list) {
    const key = String(name);
    if (!Object.prototype.hasOwnProperty.call(versions, key)) versions[key] = [];
    versions[key].push(String(version === undefined ? '' : version));
  }
  for (const name of Object.keys(versions)) versions[name] = Array.from(new Set(versions[name])).sort().join(', ');
  return versions;
}

function main(params) {
  let before, after;
  try {
    before = components(params.before, 'before');
    after = components(params.after, 'after');
  } catch (error) {
    return { error: error.message };
  }
  const has = (versions, name) => Object.prototype.hasOwnProperty.call(versions, name);
  const names = Array.from(new Set(Object.keys(before).concat(Object.keys(after)))).sort();
  const diff = { added: [], removed: [], changed: [], same: 0 };
  for (const name of names) {
    if (!has(before, name)) diff.added.push({ name, version: after[name] });
    else if (!has(after, name)) diff.removed.push({ name, version: before[name] });
    else if (before[name] !== after[name]) diff.changed.push({ name, before: before[name], after: after[name] });
    else diff.same += 1;
  }
  return diff;
}
