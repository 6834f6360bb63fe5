//! `nowrong`: the server as a program. Everything is in the library beside it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Chosen by measurement, see ARCHITECTURE.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    nowrong_server::main()
}
