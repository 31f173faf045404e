//! Deploying: what a manifest of `wskdeploy` or a folder of functions describes
//! ([`read_manifest`], [`read_folder`]), what of that a host has already and what is to be done
//! ([`Plan`]), and doing it ([`look`], [`carry_out`]).
//!
//! Reading and planning are pure: files come in through [`Files`], the environment as a
//! function, what a host has as [`Live`]. Nothing that is written in a manifest is passed over:
//! what is not known is an error that names its place. A plan holds no values, so that it can be
//! shown; an entity that is as it is described is not written again.

mod apply;
mod code;
mod differences;
mod folder;
mod inputs;
mod manifest;
mod marks;
mod order;
mod parts;
mod plan;
mod tree;

use std::fmt;

use conche_cacao::Pointer;
use serde_json::{Map, Value};

pub use self::apply::{ApplyError, Host, carry_out, look};
pub use self::folder::read_folder;
pub use self::manifest::read_manifest;
pub use self::plan::{Change, Current, Kind, Live, MANAGED, Plan, Step};
pub use self::tree::Variables;
use crate::model::{ActionPut, FullyQualifiedName, KeyValues, Name, PackagePut, TriggerPut};

/// Which of two texts something stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The manifest.
    Manifest,
    /// The deployment file, whose inputs and annotations come before the manifest's.
    Deployment,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manifest => "the manifest",
            Self::Deployment => "the deployment file",
        })
    }
}

/// Why nothing can be deployed of what is written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A text is no YAML.
    #[error("{written} is no YAML: {message}")]
    Syntax {
        /// Which text.
        written: Written,
        /// What is wrong, with line and column.
        message: String,
    },
    /// Something in a text is wrong.
    #[error("{}{flaw}", place(at))]
    Written {
        /// Which text.
        written: Written,
        /// Where it stands.
        at: Pointer,
        /// What is wrong, in a sentence without its full stop.
        flaw: String,
    },
    /// A folder can't be listed.
    #[error("it can't be listed: {0}")]
    List(String),
}

fn place(at: &Pointer) -> String {
    match at.to_string() {
        top if top.is_empty() => top,
        pointer => format!("{pointer}: "),
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Whether it may be executed.
    pub is_executable: bool,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file.
    File(File),
    /// A folder: all files in it and below, by their paths within it, with `/` between names.
    Folder(Vec<(String, File)>),
}

/// A file or folder in a folder of functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a file that may be executed.
    pub is_executable: bool,
}

/// The files beside a manifest, or those of a folder of functions. Paths are relative to that
/// folder. Errors are texts for people, without the path.
pub trait Files {
    /// What is directly in the folder.
    ///
    /// # Errors
    /// Why it can't be listed.
    fn list(&self) -> Result<Vec<Listed>, String>;

    /// Whether there is a file at a path.
    fn has(&self, path: &str) -> bool;

    /// What is at a path.
    ///
    /// # Errors
    /// Why it can't be read: it is not there, too large, ….
    fn read(&self, path: &str) -> Result<Found, String>;
}

/// What is needed to read what is to be deployed.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The namespace that everything is for: a real one, not `_`.
    pub namespace: &'a Name,
    /// The environment.
    pub variables: Variables<'a>,
    /// The files.
    pub files: &'a dyn Files,
}

/// What there is to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Desired {
    /// The project that it belongs to, where one is named.
    pub project: Option<String>,
    /// All entities, each after those that it needs.
    pub entities: Vec<Entity>,
    /// Names in a folder of functions that are none.
    pub passed_over: Vec<String>,
    /// Functions in a folder that can't be read.
    pub faults: Vec<Fault>,
}

/// A function that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {flaw}")]
pub struct Fault {
    /// The file or folder.
    pub file: String,
    /// The action that it would be; none where that has no name either.
    pub action: Option<FullyQualifiedName>,
    /// What is wrong.
    pub flaw: String,
}

/// An entity as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// Its name, in a real namespace.
    pub name: FullyQualifiedName,
    /// What it is.
    pub body: Body,
}

/// What an entity is to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A package or a binding.
    Package(PackagePut),
    /// An action or a sequence; its components are full names.
    Action(ActionPut),
    /// A trigger.
    Trigger(TriggerPut, Option<Feed>),
    /// A rule.
    Rule(Rule),
}

/// What fires a trigger.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Its action.
    pub action: FullyQualifiedName,
    /// What it is told beside the trigger.
    pub inputs: Map<String, Value>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// When this is fired,
    pub trigger: FullyQualifiedName,
    /// this is invoked.
    pub action: FullyQualifiedName,
    /// What is said of it.
    pub annotations: KeyValues,
}
