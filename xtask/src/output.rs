//! Where the words of a part go: to the terminal, or to a file while the part runs beside another.
//!
//! Each part runs on a thread of its own, and the file belongs to the thread: what a part says with
//! [`say!`] and what the commands print that it starts is in one place, in order.

use std::{
    cell::RefCell,
    fmt::Arguments,
    fs::File,
    io::Write as _,
    process::{Command, Stdio},
};

thread_local! {
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Prints a line where the words of this thread go.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::output::line(format_args!($($words)*))
    };
}

pub(crate) use say;

/// From now on the words of this thread go to `file`.
pub fn keep_in(file: File) {
    FILE.set(Some(file));
}

/// What [`say!`] calls.
pub fn line(words: Arguments<'_>) {
    FILE.with_borrow_mut(|file| match file {
        // A full disk is seen by what follows; a part does not fail for its words.
        Some(file) => drop(writeln!(file, "{words}")),
        None => println!("{words}"),
    });
}

/// Has the command print where the words of this thread go.
///
/// # Errors
/// When the file cannot be shared with the command.
pub fn of_command(command: &mut Command) -> std::io::Result<()> {
    FILE.with_borrow(|file| {
        if let Some(file) = file {
            command.stdout(Stdio::from(file.try_clone()?));
            command.stderr(Stdio::from(file.try_clone()?));
        }
        Ok(())
    })
}
