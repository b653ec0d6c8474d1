// What was read, letter by letter, beside what stands there: the least edits between the two.
function edits(truth, read) {
  const a = Array.from(truth), b = Array.from(read), width = b.length + 1;
  const cost = new Uint16Array((a.length + 1) * width);
  for (let i = 0; i <= a.length; i++) cost[i * width] = i;
  for (let j = 0; j <= b.length; j++) cost[j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const swap = cost[(i - 1) * width + j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      cost[i * width + j] = Math.min(swap, cost[(i - 1) * width + j] + 1, cost[i * width + j - 1] + 1);
    }
  }
  const found = [];
  for (let i = a.length, j = b.length; i || j;) {
    const here = cost[i * width + j];
    const same = i && j && a[i - 1] === b[j - 1];
    if (i && j && cost[(i - 1) * width + j - 1] + (same ? 0 : 1) === here) {
      found.push([same ? "right" : "wrong", b[j - 1]]);
      i--; j--;
    } else if (j && cost[i * width + j - 1] + 1 === here) {
      found.push(["wrong", b[--j]]);
    } else {
      found.push(["gone", a[--i]]);
    }
  }
  return found.reverse();
}

const LONGEST = 400;  // letters that are compared one by one

function reading(truth, read) {
  if (read === null || read === undefined) return null;
  if (truth === null || truth === undefined) return element("span", "read", read || "nothing");
  const exact = read === truth;
  const line = element("span", read ? "read" : "read nothing");
  if (!read) line.append("nothing");
  else if (exact || truth.length > LONGEST || read.length > LONGEST) line.append(element("span", exact ? "right" : "wrong", read));
  else {
    for (const [kind, letter] of edits(truth, read)) {
      if (kind === "gone") {
        const gap = element("span", "gone", "·");
        gap.title = `missing: ${letter}`;
        line.append(gap);
      } else if (line.lastChild && line.lastChild.className === kind) line.lastChild.append(letter);
      else line.append(element("span", kind, letter));
    }
  }
  line.append(element("span", exact ? "sign right" : "sign", exact ? "✓" : "✗"));
  line.append(element("span", "sr", exact ? " read exactly" : " not read exactly"));
  return line;
}
