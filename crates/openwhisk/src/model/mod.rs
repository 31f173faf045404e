//! What the REST API speaks of: names, entities, activations, limits, errors.
//!
//! Every type reads and writes exactly the wire form. Properties that are not known are kept in
//! `other` and written back, so that what a newer host says is not lost on the way through.
//! The rules that hosts apply are pure functions here, with the texts that clients have come to
//! expect; nothing in this module does I/O.

mod action;
mod activation;
mod document;
mod entity;
mod error;
mod exec;
mod fqn;
mod info;
mod key_value;
mod limits;
mod list;
mod name;
mod package;
mod rule;
mod text;
mod trigger;
mod version;

pub use self::action::{Action, ActionPut, ActionSummary, ExecSummary};
pub use self::activation::{
    Accepted, Activation, ActivationId, ActivationIdError, ActivationSummary, Logs, Response,
    RuleLog, Status,
};
pub use self::document::{Count, Other};
pub use self::entity::{Collection, EntityKind};
pub use self::error::ErrorBody;
pub use self::exec::{Blackbox, Code, Exec, Sequence, is_binary};
pub use self::fqn::{EntityPath, FullyQualifiedName, NameInBodyError};
pub use self::info::{ApiInfo, HostInfo, NamespaceLimits, Runtime};
pub use self::key_value::{KeyValue, KeyValues};
pub use self::limits::{ActionLimits, Bounds, LimitError, LimitRanges, SizeError, check_size};
pub use self::list::{
    ActivationQuery, LIST_DEFAULT, LIST_MAX, ListError, ListQuery, read_limit, read_skip,
};
pub use self::name::{Name, NameError, RESERVED_PACKAGE, check_namespace};
pub use self::package::{
    Binding, BindingField, Package, PackageMember, PackagePut, PackageSummary,
};
pub use self::rule::{Reference, Rule, RulePut, RuleStatus, RuleStatusPut};
pub use self::text::Messages;
pub use self::trigger::{RuleLink, Trigger, TriggerPut, TriggerSummary};
pub use self::version::Version;
