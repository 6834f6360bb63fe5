/**
 * Renames JSON fields to the style of TypeScript: `age_bracket` becomes `ageBracket`, in types and in
 * values, so that the REST types are not written a second time.
 *
 * @module
 */

/** `"age_bracket"` → `"ageBracket"`. */
export type CamelName<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelName<Tail>>}`
  : Name;

/** `Value` with the names of all its fields in camel case. */
export type Camel<Value> = Value extends readonly (infer Item)[]
  ? readonly Camel<Item>[]
  : Value extends object
    ? { readonly [Key in keyof Value as Key extends string ? CamelName<Key> : Key]: Camel<Value[Key]> }
    : Value;

/** `Value` with the names of all its fields in snake case; the inverse of {@link Camel} for its fields. */
export type Snake<Value> = { [Key in keyof Value as Key extends string ? SnakeName<Key> : Key]: Value[Key] };

type SnakeName<Name extends string> = Name extends `${infer Head}${infer Tail}`
  ? `${Head extends Lowercase<Head> ? Head : `_${Lowercase<Head>}`}${SnakeName<Tail>}`
  : Name;

/** Renames the fields of `value` at every depth. */
export function toCamel<Value>(value: Value): Camel<Value> {
  return rename(value, (name) =>
    name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
  ) as Camel<Value>;
}

/** Renames the fields of `value` back: only its own fields, not those of nested objects. */
export function toSnake<Value extends object>(value: Value): Snake<Value> {
  const entries = Object.entries(value).map(([name, inner]) => [
    name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
    inner as unknown,
  ]);
  return Object.fromEntries(entries) as Snake<Value>;
}

function rename(value: unknown, name: (old: string) => string): unknown {
  if (Array.isArray(value)) {
    return value.map((item) => rename(item, name));
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [name(key), rename(inner, name)]));
  }
  return value;
}
