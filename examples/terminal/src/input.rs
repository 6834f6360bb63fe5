//! What the person types, line by line.

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};

use crate::command::Line;

/// Standard input.
pub(crate) struct Input(Lines<BufReader<Stdin>>);

impl Input {
    pub(crate) fn new() -> Self {
        Self(BufReader::new(tokio::io::stdin()).lines())
    }

    /// The next line as it was typed; `None` when there will be no other.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn text(&mut self) -> std::io::Result<Option<String>> {
        self.0.next_line().await
    }

    /// The next line that is not blank. The end of the input is a wish to go.
    ///
    /// # Errors
    /// When it cannot be read.
    ///
    /// # Cancel safety
    /// A dropped future loses nothing.
    pub(crate) async fn line(&mut self) -> std::io::Result<Line> {
        loop {
            match self.text().await? {
                None => return Ok(Line::Quit),
                Some(typed) => {
                    if let Some(line) = Line::parse(&typed) {
                        return Ok(line);
                    }
                }
            }
        }
    }
}
