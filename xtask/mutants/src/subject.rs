//! The crates whose code is changed, and the tests that are to notice: those of the crate alone, the quick
//! ones first.

/// A crate.
pub struct Subject {
    /// Its package.
    pub package: &'static str,
    /// Its folder, from the root.
    pub folder: &'static str,
    /// What `cargo test --package …` is told, one after the other until one fails.
    pub stages: &'static [&'static [&'static str]],
}

/// The pure crates: what is decided there is decided by bytes and states alone, so tests of their own can
/// notice everything.
pub const SUBJECTS: &[Subject] = &[
    Subject {
        package: "nowrong-protocol",
        folder: "protocol",
        stages: &[&["--lib"], &["--tests"]],
    },
    Subject {
        package: "nowrong-core",
        folder: "server/core",
        // Of the models those that search few states: they are copies of the protocol between nodes and
        // share little code with the crate.
        stages: &[
            &["--lib"],
            &[
                "--test",
                "models",
                "--",
                "message_log::tests::three_messages",
                "message_log::tests::redis_fails_over",
                "message_log::tests::what_was_sent",
                "matcher::tests::g7",
            ],
        ],
    },
];
