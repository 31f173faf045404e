//! Files that a person names on the command line; `-` is standard input.

use std::io::Read;
use std::path::Path;

use conche_api::words;
use conche_core::reaction::Reaction;
use serde_json::Value;

use crate::failure::Failure;

/// Bytes of a file; more than any limit of a server allows.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Reads a whole text.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .take(BYTES_MAX + 1)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text))
    };
    match read {
        Ok(bytes) if bytes as u64 > BYTES_MAX => Err(Failure::Failed(format!(
            "{} is larger than {BYTES_MAX} bytes",
            path.display()
        ))),
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::of(
            &format!("can't read {}", path.display()),
            error,
        )),
    }
}

/// Reads a JSON value.
pub(crate) fn json(path: &Path) -> Result<Value, Failure> {
    serde_json::from_str(&text(path)?)
        .map_err(|error| Failure::of(&format!("{} is not JSON", path.display()), error))
}

/// Reads a reaction with the script files that it names.
pub(crate) fn reaction(path: &Path) -> Result<Reaction, Failure> {
    conche_engine::read_reaction(path).map_err(|message| {
        let message = words::plain(&message);
        Failure::Failed(format!("{}: {message}", path.display()))
    })
}
