//! What comes from the linked crate rather than its sources: the tables of codes and frames.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Context as _;
use nowrong_protocol::{
    CloseCode, ErrorCode,
    code::{CLOSE_CODES, CodeInfo, ERROR_CODES},
    frame::{FRAMES, FrameInfo, Lane, Sender},
};

use super::{doc, emit, name, schema::Schema};

const CODE_SOURCE: &str = "protocol/src/code.rs";

/// The text of `code.ts`.
pub(super) fn codes(root: &Path) -> anyhow::Result<String> {
    let source = std::fs::read_to_string(root.join(CODE_SOURCE))
        .with_context(|| format!("reading {CODE_SOURCE}"))?;
    let file = syn::parse_file(&source)?;
    // The ranges are defined by the functions alone, so they are asked.
    let stop_from = (4_000..=4_999)
        .find(|code| !CloseCode(*code).should_reconnect())
        .context("no close code stops")?;
    let temporary_from = (0..=999)
        .find(|code| ErrorCode(*code).is_temporary())
        .context("no error is temporary")?;
    let close = Table {
        name: "CloseCode",
        rows: CLOSE_CODES,
        doc: "Why a connection ended.",
        verdict: "shouldReconnect",
        verdict_doc: "Whether a client should connect again by itself: decided by the range alone.",
        condition: format!("code < {stop_from}"),
        unknown: CloseCode(0).text(),
        holds: |code| CloseCode(code).should_reconnect(),
    };
    let error = Table {
        name: "ErrorCode",
        rows: ERROR_CODES,
        doc: "Why a request failed.",
        verdict: "isTemporary",
        verdict_doc: "Whether the same request may succeed later: decided by the range alone.",
        condition: format!("code >= {temporary_from}"),
        unknown: ErrorCode(0).text(),
        holds: |code| ErrorCode(code).is_temporary(),
    };
    Ok(emit::header(&doc::text(&file.attrs), CODE_SOURCE)
        .trim_end()
        .to_owned()
        + "\n"
        + &close.render()
        + &error.render())
}

struct Table {
    name: &'static str,
    rows: &'static [CodeInfo],
    doc: &'static str,
    verdict: &'static str,
    verdict_doc: &'static str,
    condition: String,
    unknown: &'static str,
    holds: fn(u16) -> bool,
}

impl Table {
    fn render(&self) -> String {
        let Self {
            name,
            doc,
            verdict,
            verdict_doc,
            condition,
            unknown,
            ..
        } = self;
        let table = format!("{}S", name::screaming(name));
        let info = format!("{name}Info");
        let variable = name::lower_first(name);
        let constants: String = self
            .rows
            .iter()
            .map(|row| format!("  /** {} */\n  {}: {},\n", row.text, row.name, row.number))
            .collect();
        let rows: String = self.rows.iter().map(|row| {
            format!("  {{\n    number: {},\n    name: \"{}\",\n    text: {:?},\n    {verdict}: {},\n  }},\n",
                row.number, row.name, row.text, (self.holds)(row.number))
        }).collect();
        format!(
            "\n/** {doc} A number, for a newer peer may send one that this version does not know. */\n\
             export type {name} = number;\n\n\
             /** {doc} The codes that this version knows, by name. */\n\
             export const {name} = {{\n{constants}}} as const;\n\n\
             /** One row of {{@link {table}}}. */\n\
             export interface {info} {{\n\
             \x20 /** The number on the wire. */\n  readonly number: number;\n\
             \x20 /** Its name in logs, metrics, Rust and SPEC. */\n  readonly name: string;\n\
             \x20 /** What a person is told. */\n  readonly text: string;\n\
             \x20 /** {verdict_doc} */\n  readonly {verdict}: boolean;\n}}\n\n\
             /** {doc} The rows, by number. */\n\
             export const {table}: readonly {info}[] = [\n{rows}];\n\n\
             /** {verdict_doc} */\n\
             export function {verdict}(code: {name}): boolean {{\n  return {condition};\n}}\n\n\
             /** The row of `code`, or a neutral one with the name `UNKNOWN`. */\n\
             export function {variable}Info(code: {name}): {info} {{\n\
             \x20 return (\n    {table}.find((row) => row.number === code) ?? {{\n      number: code,\n      name: \"UNKNOWN\",\n      \
             text: {unknown:?},\n      {verdict}: {verdict}(code),\n    }}\n  );\n}}\n"
        )
    }
}

/// The text of `frame.ts`.
pub(super) fn frames(schema: &Schema) -> anyhow::Result<String> {
    let header = emit::header(
        "Every frame of the protocol: the table of their numbers, and the unions of what each side sends.",
        "protocol/src/frame.rs",
    );
    let imports = frame_imports(schema)?;
    let table: String = FRAMES.iter().map(row).collect();
    let types: String = FRAMES
        .iter()
        .map(|frame| {
            format!(
                "{}  {}: {},\n",
                doc::block(schema.doc(frame.name), "  "),
                name::lower_first(frame.name),
                frame.kind
            )
        })
        .collect();
    Ok(format!(
        "{header}{imports}\n\
         /** Where a frame travels. On a WebSocket all lanes are the one message stream. */\n\
         export type Lane = \"live\" | \"bulk\" | \"datagram\";\n\n\
         /** One row of {{@link FRAMES}}. */\n\
         export interface FrameInfo {{\n\
         \x20 /** Type number on the wire. */\n  readonly type: number;\n\
         \x20 /** Its `kind` in the unions. */\n  readonly kind: string;\n\
         \x20 /** Who sends it. */\n  readonly sender: \"client\" | \"server\" | \"both\";\n\
         \x20 /** Where it travels. */\n  readonly lane: Lane;\n}}\n\n\
         /** Every frame, by sender and number. */\n\
         export const FRAMES: readonly FrameInfo[] = [\n{table}];\n\n\
         /** The type numbers on the wire, by `kind`. */\n\
         export const FrameType = {{\n{types}}} as const;\n\n\
         /** A frame of a type that this version does not know. */\n\
         export interface UnknownFrame {{\n\
         \x20 /** Tells the frames apart. */\n  readonly kind: \"unknown\";\n\
         \x20 /** Type number on the wire. */\n  readonly type: number;\n\
         \x20 /** The bytes of its body. */\n  readonly body: Uint8Array;\n}}\n{}{}{}",
        side("Client", "A frame that a client sends.", Sender::Client),
        side("Server", "A frame that a server sends.", Sender::Server),
        client_lane(),
    ))
}

fn row(frame: &FrameInfo) -> String {
    let sender = match frame.sender {
        Sender::Client => "client",
        Sender::Server => "server",
        Sender::Both => "both",
    };
    format!(
        "  {{ type: {}, kind: \"{}\", sender: \"{sender}\", lane: \"{}\" }},\n",
        frame.kind,
        name::lower_first(frame.name),
        lane(frame.lane)
    )
}

fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Live => "live",
        Lane::Bulk => "bulk",
        Lane::Datagram => "datagram",
    }
}

fn sent_by(sender: Sender) -> impl Iterator<Item = &'static FrameInfo> {
    FRAMES
        .iter()
        .filter(move |frame| frame.sender == sender || frame.sender == Sender::Both)
}

/// The union of what one side sends, and the functions that write and read it.
fn side(side: &str, doc: &str, sender: Sender) -> String {
    let union: String = sent_by(sender)
        .map(|frame| format!("  | {}\n", frame.name))
        .collect();
    let encode: String = sent_by(sender)
        .map(|frame| {
            format!(
                "    case \"{}\":\n      encode{}(writer, frame);\n      return;\n",
                name::lower_first(frame.name),
                frame.name
            )
        })
        .collect();
    let decode: String = sent_by(sender)
        .map(|frame| {
            format!(
                "    case {}:\n      return decode{}(new Reader(body));\n",
                frame.kind, frame.name
            )
        })
        .collect();
    let types: String = sent_by(sender)
        .map(|frame| {
            format!(
                "    case \"{}\":\n      return {};\n",
                name::lower_first(frame.name),
                frame.kind
            )
        })
        .collect();
    let variable = side.to_ascii_lowercase();
    format!(
        "\n/** {doc} Told apart by its `kind`. */\nexport type {side}Frame =\n{union}  | UnknownFrame;\n\n\
         /** The type number of `frame` on the wire. */\n\
         export function {variable}FrameType(frame: {side}Frame): number {{\n  switch (frame.kind) {{\n{types}\
         \x20   case \"unknown\":\n      return frame.type;\n  }}\n}}\n\n\
         /** Appends the body of `frame`; its type and length belong to the envelope. */\n\
         export function encode{side}Frame(writer: Writer, frame: {side}Frame): void {{\n  switch (frame.kind) {{\n{encode}\
         \x20   case \"unknown\":\n      writeRaw(writer, frame.body);\n  }}\n}}\n\n\
         /**\n * Reads the body of a frame of type `type`; bytes after its last field are ignored.\n *\n\
         \x20* @throws WireError when the body is not of that type.\n */\n\
         export function decode{side}Frame(type: number, body: Uint8Array): {side}Frame {{\n  switch (type) {{\n{decode}\
         \x20   default:\n      return {{ kind: \"unknown\", type, body }};\n  }}\n}}\n"
    )
}

/// The lane of a client's frame, from the table; live where the table does not say otherwise.
fn client_lane() -> String {
    let cases: String = sent_by(Sender::Client)
        .filter(|frame| frame.lane != Lane::Live)
        .map(|frame| {
            format!(
                "    case \"{}\":\n      return \"{}\";\n",
                name::lower_first(frame.name),
                lane(frame.lane)
            )
        })
        .collect();
    format!(
        "\n/** Where `frame` travels. */\n\
         export function clientFrameLane(frame: ClientFrame): Lane {{\n  switch (frame.kind) {{\n{cases}    default:\n      return \"live\";\n  }}\n}}\n"
    )
}

fn frame_imports(schema: &Schema) -> anyhow::Result<String> {
    let mut from: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for frame in FRAMES {
        let name = frame.name;
        from.entry(format!("./{}.js", schema.home(name)?))
            .or_default()
            .extend([
                format!("type {name}"),
                format!("encode{name}"),
                format!("decode{name}"),
            ]);
    }
    from.entry("../wire/codec.js".to_owned())
        .or_default()
        .extend(["Reader", "type Writer", "writeRaw"].map(str::to_owned));
    Ok(emit::import_lines(&from))
}
