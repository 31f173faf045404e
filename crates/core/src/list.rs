//! Names of lists, and how many of them a reaction may read.
//!
//! What lists hold is kept by the engine and its store; here is only what reactions and they
//! must agree on.

/// Bytes of a list's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Lists that one reaction may read.
pub const READ_MAX: usize = 16;

/// It is no name of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name of a list has 1 to {NAME_BYTES_MAX} letters, digits and '_', '-', '.', and not dots alone"
)]
pub struct NoName;

/// Refuses what is no name for a list.
///
/// # Errors
/// [`NoName`], which says what a name has.
pub fn check_name(name: &str) -> Result<(), NoName> {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.');
    // Dots alone would be lost in the path of a URL.
    let is_path = name.chars().all(|char| char == '.');
    let is_name = !is_path && name.len() <= NAME_BYTES_MAX && name.chars().all(fits);
    is_name.then_some(()).ok_or(NoName)
}
