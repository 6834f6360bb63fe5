/**
 * The languages that this page offers. The server accepts any BCP 47 tag.
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

/** The tags, each with its name in its own language. */
export function languages(): { tag: string; name: string }[] {
  return TAGS.map((tag) => ({ tag, name: languageName(tag, tag) }));
}

/** The name of a language, in the language `reader`. */
export function languageName(tag: string, reader = "en"): string {
  try {
    const name = new Intl.DisplayNames([reader], { type: "language" }).of(tag) ?? tag;
    return name.charAt(0).toLocaleUpperCase(reader) + name.slice(1);
  } catch {
    return tag; // A tag that this browser cannot name.
  }
}

/** The language of the browser, if this page offers it; else English. */
export function ownLanguage(): string {
  const [primary = "en"] = navigator.language.split("-");
  return TAGS.includes(primary) ? primary : "en";
}
