//! What the generator makes of small sources, and that what is committed is what it makes.

use super::{
    emit,
    schema::{Module, Schema},
    source,
};

fn parse(rust: &str) -> anyhow::Result<Module> {
    source::parse("sample", "sample.rs", rust, &mut source::Constants::new())
}

fn emitted(rust: &str) -> String {
    let schema = Schema {
        modules: vec![parse(rust).expect("the sample parses")],
        home: Default::default(),
    };
    emit::module(&schema.modules[0], &schema).expect("the sample has a TypeScript form")
}

fn assert_emits(rust: &str, expected: &[&str]) {
    let text = emitted(rust);
    for part in expected {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn committed_files_are_up_to_date() {
    let root = crate::root().expect("it is inside the repository");
    crate::files::compare(&root).expect("generated code is up to date");
}

#[test]
fn a_struct_becomes_an_interface_and_two_functions() {
    assert_emits(
        "/// A place.\npub struct Place {\n/// How far, see [`crate::limits::FAR_MAX`].\npub far_off: Option<u32>,\n}",
        &[
            "/** A place. */\nexport interface Place {\n",
            "  /** How far, see `FAR_MAX`. */\n  readonly farOff: number | null;\n",
            "writeOption(writer, value.farOff, writeU32);",
            "farOff: readOption(reader, readU32),",
        ],
    );
}

#[test]
fn a_frame_carries_its_kind() {
    assert_emits(
        "pub struct Ping { pub nonce: u32 }",
        &[
            "readonly kind: \"ping\";",
            "kind: \"ping\",\n    nonce: readU32(reader)",
        ],
    );
}

#[test]
fn an_ordered_struct_can_be_compared() {
    assert_emits(
        "#[derive(PartialOrd, Ord)]\npub struct Place { pub row: u32, pub seat: u64 }",
        &[
            "export function comparePlace(",
            "return a.row - b.row || a.seat - b.seat;",
        ],
    );
}

#[test]
fn an_open_enum_keeps_unknown_numbers() {
    assert_emits(
        "open_enum! {\n/// A state.\npub enum State {\n/// Yes.\nTaken = 7,\n}\n}",
        &[
            "export type State =\n  | \"taken\"\n  | `unknown:${number}`;",
            "case 7:\n      return \"taken\";",
            "- `taken`: Yes.",
        ],
    );
}

#[test]
fn constants_keep_their_value_and_unit() {
    assert_emits(
        "/// Why.\npub const A: usize = 65_536;\npub const B: Duration = Duration::from_secs(24 * 60 * 60);\npub const C: usize = A + 18;",
        &[
            "/** Why. */\nexport const A = 65_536;",
            "export const B_MS = 86_400_000;",
            "export const C = 65_554;",
        ],
    );
}

#[test]
fn what_has_no_form_is_refused() {
    let unknown = "pub struct Place { pub at: (u8, u8) }";
    assert!(parse(unknown).is_err());
    assert!(parse("pub const A: f64 = 1.5;").is_err());
}
