// Files that are dropped, chosen or pasted: [[path, file], ...].

export const PICTURE = /\.(apng|avifs?|bmp|bw|dds|dib|gif|icb|ico|j2[ck]|jfif|jp[2cefx]|jpe?g|pbm|pcx|pgm|p[np]m|png|psd|qoi|ras|rgba?|sgi|tga|tiff?|vda|vst|webp|hei[cf]|hif)$/i;

/** Hidden files are the system's own: ._cat.jpg and __MACOSX on a Mac. */
export const visible = (entries) => entries.filter(([name]) => !name.split("/").some((part) => part.startsWith(".") || part === "__MACOSX"));

/** Every file below what was dropped. */
export async function dropped(event) {
  const roots = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  return roots.length ? (await Promise.all(roots.map((root) => walk(root)))).flat() : [...event.dataTransfer.files].map((f) => [f.name, f]);
}

async function walk(entry, at = "") {
  if (entry.isFile) return [[at + entry.name, await new Promise((resolve, reject) => entry.file(resolve, reject))]];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!part.length) return found;
    for (const child of part) found.push(...await walk(child, `${at}${entry.name}/`));
  }
}

/** Pictures in the clipboard of a paste event. */
export const pasted = (event) => [...(event.clipboardData?.files || [])].filter((f) => f.type.startsWith("image/")).map((f) => [f.name || "pasted.png", f]);

/** What the clipboard holds when a button asks for it. */
export async function fromClipboard() {
  const found = [];
  for (const item of await navigator.clipboard.read()) {
    const kind = item.types.find((type) => type.startsWith("image/"));
    if (kind) found.push([`pasted.${kind.split("/")[1].split("+")[0]}`, await item.getType(kind)]);
  }
  return found;
}
