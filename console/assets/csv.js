// The read API's CSV, as objects of texts: unlike JSON.parse it leaves every digit as it came.

/** Rows as objects, by the names of the header line. */
export function parse(text) {
  const [names, ...rows] = records(text);
  return rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? ""])));
}

function records(text) {
  const out = [];
  let row = [];
  const field = /(?:"((?:[^"]|"")*)"|([^,\r\n]*))(,|\r?\n|$)/y;
  while (field.lastIndex < text.length) {
    const found = field.exec(text);
    if (!found) throw new Error(`not CSV at byte ${field.lastIndex}`);
    row.push(found[1] === undefined ? found[2] : found[1].replaceAll('""', '"'));
    if (found[3] !== ",") {
      out.push(row);
      row = [];
    }
  }
  return out.length ? out : [[]];
}
