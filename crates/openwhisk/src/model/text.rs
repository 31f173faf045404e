//! The sentences of upstream that have no error type of their own, since clients and test
//! suites compare them.

/// The sentences. Those with a value are functions.
pub struct Messages;

impl Messages {
    /// 401 without credentials.
    pub const NO_CREDENTIALS: &str =
        "The resource requires authentication, which was not supplied with the request";
    /// 401 with credentials that are wrong.
    pub const BAD_CREDENTIALS: &str = "The supplied authentication is invalid";
    /// 403 where nothing more may be said.
    pub const FORBIDDEN: &str =
        "The supplied authentication is not authorized to access this resource.";
    /// 404.
    pub const NOT_FOUND: &str = "The requested resource does not exist.";
    /// 409 for a race that was lost.
    pub const CONFLICT: &str = "Concurrent modification to resource detected.";
    /// 409 where something else has the name.
    pub const OTHER_COLLECTION: &str =
        "Resource by this name exists but is not in this collection.";
    /// 409 where it is there and may not be overwritten.
    pub const ALREADY_EXISTS: &str = "resource already exists";
    /// 503.
    pub const OVERLOADED: &str = "System is overloaded, try again later.";
    /// 400 for a final or reserved parameter.
    pub const PARAMETERS_NOT_ALLOWED: &str =
        "Request defines parameters that are not allowed (e.g., reserved properties).";
    /// 400 for `docs` with `count`.
    pub const DOCS_WITH_COUNT: &str = "The parameter 'docs' is not permitted with 'count'.";
    /// 400 for a new action without code.
    pub const NO_EXEC: &str = "exec undefined";
    /// 400 for a sequence of nothing.
    pub const SEQUENCE_EMPTY: &str = "No component specified for the sequence.";
    /// 400 for a sequence that is too long.
    pub const SEQUENCE_TOO_LONG: &str = "Too many actions in the sequence.";
    /// 400 for a sequence that is part of itself.
    pub const SEQUENCE_CYCLIC: &str = "Sequence may not refer to itself.";
    /// 400, or the result of a run, for a part that is not there.
    pub const SEQUENCE_COMPONENT_NOT_FOUND: &str = "Sequence component does not exist.";
    /// 400 for a binding of nothing.
    pub const BINDING_NOT_FOUND: &str = "Binding references a package that does not exist.";
    /// 409 for a package that is to become a binding.
    pub const PACKAGE_NOT_BINDING: &str =
        "Resource is a package and cannot be converted into a binding.";
    /// 400 for a binding of a binding.
    pub const BINDING_OF_BINDING: &str = "Cannot bind to another package binding.";
    /// 409 for a binding of something else.
    pub const BINDING_OF_NO_PACKAGE: &str = "Cannot bind to a resource that is not a package.";
    /// 400 for a change through a binding.
    pub const NOT_ON_BINDING: &str = "Operation not permitted on package binding.";
    /// 400 for a rule without both of its ends.
    pub const RULE_INCOMPLETE: &str = "rule requires a valid trigger and a valid action";
    /// 404 for a rule whose trigger is gone.
    pub const RULE_WITHOUT_TRIGGER: &str = "Only rules with existing triggers can be activated";
    /// 400 for a feed that is no path.
    pub const FEED_NAME: &str = "Feed name is not valid";
    /// A container that went away while it was initialised.
    pub const NO_INIT: &str = "The action did not initialize and exited unexpectedly.";
    /// A container that went away while it ran.
    pub const NO_RUN: &str = "The action did not produce a valid response and exited unexpectedly.";
    /// A container that took too much memory.
    pub const OUT_OF_MEMORY: &str = "The action exhausted its memory and was aborted.";
    /// A line at the end of a log of which something may be missing.
    pub const LOG_FAILURE: &str =
        "There was an issue while collecting your logs. Data might be missing.";
    /// The same where the action failed.
    pub const LOG_WARNING: &str =
        "The action did not initialize or run as expected. Log data might be missing.";

    /// 429 for too many in a minute.
    pub fn too_many_requests(count: u64, allowed: u64) -> String {
        format!("Too many requests in the last minute (count: {count}, allowed: {allowed}).")
    }

    /// 429 for too many at a time.
    pub fn too_many_concurrent(count: u64, allowed: u64) -> String {
        format!("Too many concurrent requests in flight (count: {count}, allowed: {allowed}).")
    }

    /// 403 for an entity by its name, without the leading slash.
    pub fn not_authorized(entity: &str) -> String {
        format!("The supplied authentication is not authorized to access '{entity}'.")
    }

    /// 400 before what a parser says of a body.
    pub fn malformed(detail: &str) -> String {
        format!("The request content was malformed:\n{detail}")
    }

    /// 400 for a `timeout` of an invocation.
    pub fn invalid_timeout(most: u64) -> String {
        format!("Timeout must be number of milliseconds up to {most}.")
    }

    /// 400 for a kind that is not there.
    pub fn unknown_kind(kind: &str, valid: &[&str]) -> String {
        let valid: Vec<String> = valid.iter().map(|kind| format!("'{kind}'")).collect();
        let valid = valid.join(", ");
        Self::malformed(&format!(
            "The specified runtime '{kind}' is not supported by this platform. Valid values are: {valid}."
        ))
    }

    /// 400 for a kind that is no more.
    pub fn deprecated_kind(kind: &str) -> String {
        format!(
            "The '{kind}' runtime is no longer supported. You may read and delete but not update or invoke this action."
        )
    }

    /// 409 for a package that is not empty.
    pub fn package_not_empty(count: usize) -> String {
        let entities = if count == 1 { "entity" } else { "entities" };
        format!(
            "Package not empty (contains {count} {entities}). Set force param or delete package contents."
        )
    }

    /// The log of a trigger for a rule that is off.
    pub fn rule_inactive(rule: &str, action: &str) -> String {
        format!("Rule '{rule}' is inactive, action '{action}' was not activated.")
    }

    /// An action that took too long, in milliseconds.
    pub fn timed_out(limit: u64, during_init: bool) -> String {
        let end = if during_init {
            " during initialization."
        } else {
            "."
        };
        format!("The action exceeded its time limits of {limit} milliseconds{end}")
    }

    /// An action that did not start.
    pub fn init_failed(answer: &str) -> String {
        match answer {
            "" => "The action failed during initialization.".to_owned(),
            answer => format!("The action failed during initialization: {answer}"),
        }
    }

    /// An action whose answer is no object and no list.
    pub fn no_json(answer: &str) -> String {
        match answer {
            "" => "The action did not produce a valid JSON or JSON Array response.".to_owned(),
            answer => {
                format!("The action did not produce a valid JSON or JSON Array response: {answer}")
            }
        }
    }

    /// An action whose answer is too long, with its beginning.
    pub fn response_too_long(is: u64, allowed: u64, beginning: &str) -> String {
        format!(
            "The action produced a response that exceeded the allowed length: {is} > {allowed} bytes. The truncated response was: {beginning}"
        )
    }

    /// A line at the end of a log that is too long.
    pub fn log_truncated(limit: u64) -> String {
        format!(
            "Logs were truncated because the total bytes size exceeds the limit of {limit} bytes."
        )
    }
}
