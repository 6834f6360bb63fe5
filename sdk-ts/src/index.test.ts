/**
 * The public face: what an application sees of the handles, read from the declarations as `npm run
 * build` writes them.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { beforeAll, describe, expect, it } from "vitest";
import { World } from "./testing/world.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Every member of the handles. A new one is a promise to applications: add it here when it is meant. */
const HANDLES = {
  NoWrong: [
    ..."[Symbol.asyncDispose] categories close connect createRecoveryCode delete deleteRecoveryCode".split(
      " ",
    ),
    ..."exportData logOut logOutEverywhere me recover register restore update user".split(" "),
  ],
  Connection:
    "[Symbol.asyncDispose] chat close error failure id join limits move on serverTimeMs state stats ticket transport".split(
      " ",
    ),
  Ticket:
    "[Symbol.asyncDispose] cancel category close id interests matched on sinceMs stage status waiting".split(
      " ",
    ),
  Chat: [
    ..."[Symbol.asyncDispose] block category close delete end expiresAtMs hasOlder history id".split(" "),
    ..."isPartnerTyping leave me members messages next on partner position presence read send".split(" "),
    ..."startedAtMs typing unread why you".split(" "),
  ],
};

/** The declarations that the build writes, by their path under `dist`. */
const declarations = new Map<string, string>();

/** The class `name`, wherever it is declared. */
function classNamed(name: string): ts.ClassDeclaration {
  for (const [path, text] of declarations) {
    const file = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022);
    const found = file.statements.find(
      (statement): statement is ts.ClassDeclaration =>
        ts.isClassDeclaration(statement) && statement.name?.text === name,
    );
    if (found !== undefined) {
      return found;
    }
  }
  throw new Error(`no declaration of ${name}`);
}

function memberNames(declaration: ts.ClassDeclaration): string[] {
  const names = declaration.members.flatMap(({ name }) => {
    if (name === undefined || ts.isPrivateIdentifier(name)) {
      return [];
    }
    return [ts.isComputedPropertyName(name) ? "[Symbol.asyncDispose]" : (name as ts.Identifier).text];
  });
  return [...new Set(names)].sort();
}

describe("the public face", () => {
  beforeAll(() => {
    const path = `${ROOT}tsconfig.build.json`;
    const { config } = ts.readConfigFile(path, ts.sys.readFile);
    const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
    const program = ts.createProgram(fileNames, { ...options, emitDeclarationOnly: true });
    program.emit(undefined, (name, text) => {
      if (name.endsWith(".d.ts")) {
        declarations.set(name.slice(`${ROOT}dist/`.length), text);
      }
    });
  });

  it.each(Object.entries(HANDLES))("of %s is this and nothing more", (name, members) => {
    expect(memberNames(classNamed(name))).toEqual([...members].sort());
  });

  it.each(Object.keys(HANDLES))("%s is made by this package alone", (name) => {
    const constructors = classNamed(name).members.filter(ts.isConstructorDeclaration);
    expect(constructors).toHaveLength(1);
    expect(constructors[0]?.modifiers?.map(({ kind }) => kind)).toEqual([ts.SyntaxKind.PrivateKeyword]);
    expect(constructors[0]?.parameters).toHaveLength(0);
  });

  it("holds nothing that is marked as internal", () => {
    expect([...declarations].filter(([, text]) => text.includes("@internal")).map(([path]) => path)).toEqual(
      [],
    );
  });

  it("holds no tests and none of their doubles", () => {
    expect([...declarations.keys()].filter((path) => /\.test\.|^testing\//.test(path))).toEqual([]);
    expect(declarations.has("index.d.ts")).toBe(true);
  });
});

describe("the version that a server is told", () => {
  it("is the one of the package", async () => {
    const { version } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { version: string };
    const world = new World();
    await world.greet();
    expect(world.socket.last("hello").agent).toBe(`nowrong-sdk/${version}`);
  });
});
