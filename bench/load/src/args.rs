//! Command line: pairs of `--name value`, as `bench/cells.js` writes them.

use std::collections::HashMap;
use std::io;
use std::str::FromStr;
use std::time::Duration;

/// The options of one run.
pub struct Args(HashMap<String, String>);

impl Args {
    /// Reads `--name value` pairs.
    pub fn parse(mut words: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut map = HashMap::new();
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| io::Error::other(format!("not an option: {word}")))?;
            let value = words
                .next()
                .ok_or_else(|| io::Error::other(format!("{word} needs a value")))?;
            map.insert(name.to_owned(), value);
        }
        Ok(Self(map))
    }

    /// The text of an option, if given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number, or `default` when the option is absent.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> io::Result<T> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| io::Error::other(format!("--{name}: not a number: {text}"))),
        }
    }

    /// A time in milliseconds.
    pub fn millis(&self, name: &str, default: u64) -> io::Result<Duration> {
        Ok(Duration::from_millis(self.number(name, default)?))
    }

    /// True for `--name 1`.
    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("1")
    }
}
