/**
 * The languages one can choose here; the server takes any BCP 47 tag.
 *
 * @module
 */

const TAGS = [
  "en",
  "de",
  "es",
  "fr",
  "pt",
  "it",
  "nl",
  "pl",
  "tr",
  "ru",
  "uk",
  "ar",
  "he",
  "fa",
  "hi",
  "id",
  "vi",
  "th",
  "ja",
  "ko",
  "zh",
];

/** Tags and their names in their own language. */
export function languages(): { tag: string; name: string }[] {
  return TAGS.map((tag) => ({ tag, name: languageName(tag, tag) }));
}

/** The name of a language, in `reader`'s words. */
export function languageName(tag: string, reader = "en"): string {
  try {
    const name = new Intl.DisplayNames([reader], { type: "language" }).of(tag) ?? tag;
    return name.charAt(0).toLocaleUpperCase(reader) + name.slice(1);
  } catch {
    return tag; // A tag that this browser cannot name.
  }
}

/** The browser's language, if it can be chosen here. */
export function ownLanguage(): string {
  const [primary = "en"] = navigator.language.split("-");
  return TAGS.includes(primary) ? primary : "en";
}
