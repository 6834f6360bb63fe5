//! The memory of the process is not written to a disk when it dies: it holds keys, names and texts.

use std::io;

use rlimit::Resource;

/// From now on the system makes no core file of this process, whatever ends it.
///
/// The limit alone does not do that: where core files go to a program (`|` in `core_pattern`, as systemd has it), Linux
/// does not look at the limit. A process that is not dumpable also cannot be read or traced by others of its user.
///
/// # Errors
/// When the system does not allow it.
pub(super) fn refuse() -> io::Result<()> {
    Resource::CORE.set(0, 0)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, panic, process::Command};

    use rustix::process::{DumpableBehavior, dumpable_behavior};

    use crate::{
        config::{LogFormat, LogLevel, LogSettings},
        observe::log::Log,
    };

    const TEXT: &str = "what-somebody-wrote-in-confidence";

    /// Does not stand in the program, so that a core file that holds it has it from the memory.
    fn text() -> String {
        TEXT.split('-').rev().collect::<Vec<_>>().join("+")
    }

    /// Asks for a core file, panics with a text, and dies of a signal that makes one.
    #[test]
    fn a_panic_with_a_text_and_a_death_that_asks_for_a_core_leave_neither() {
        let dir = tempfile::tempdir().unwrap();
        let child = concat!(module_path!(), "::child");
        let (_, child) = child.split_once("::").unwrap();
        let command = "ulimit -c unlimited && exec \"$0\" --exact --ignored --nocapture \"$1\"";
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", command]);
        let shell = shell.arg(std::env::current_exe().unwrap()).arg(child);
        let ended = shell.current_dir(&dir).output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(ended.status.code(), None, "a signal ends it: {said}");
        assert!(
            said.contains("a panic") && said.contains("dumps.rs"),
            "{said}"
        );
        assert!(!said.contains(&text()), "{said}");
        let files = fs::read_dir(&dir).unwrap();
        let files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert!(files.is_empty(), "{files:?}");
    }

    #[test]
    #[ignore = "started by a_panic_with_a_text_and_a_death_that_asks_for_a_core_leave_neither"]
    fn child() {
        super::refuse().unwrap();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        let level = LogLevel::Trace;
        let format = LogFormat::Text;
        let log = Log::start(LogSettings { format, level }).unwrap();
        log.watch_panics();
        let caught = panic::catch_unwind(|| panic!("{} is not good", text()));
        assert!(caught.is_err());
        log.flush();
        std::process::abort();
    }
}
