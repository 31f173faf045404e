//! Every code that a problem of the native API or of its listener can have.
//!
//! A code never changes its meaning and is never used again for another. Each has a page in
//! `docs/errors/`, which the server also serves at `/errors/CODE`.

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Stable, for programs.
    pub name: &'static str,
    /// The HTTP status that it comes with.
    pub status: u16,
    /// One sentence for people.
    pub title: &'static str,
    /// Its page: what happened and what to do, in Markdown.
    pub page: &'static str,
}

impl Code {
    /// Every code, in the order of their names.
    pub fn all() -> &'static [&'static Self] {
        ALL
    }
}

/// The code of this name.
pub(crate) fn find(name: &str) -> Option<&'static Code> {
    ALL.iter().copied().find(|code| code.name == name)
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $status:literal, $title:literal;)*) => {
        $(pub(crate) static $constant: Code = Code {
            name: $name,
            status: $status,
            title: $title,
            page: include_str!(concat!("../../../docs/errors/", $name, ".md")),
        };)*
        static ALL: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    ANSWER = "answer-refused", 422, "The answer is not what is asked for";
    BODY_TOO_LARGE = "body-too-large", 413, "The request body is too large";
    BODY_TOO_SLOW = "body-too-slow", 408, "The request body did not arrive in time";
    BUSY = "busy", 429, "Too much is waiting";
    CONTENT_TYPE_REFUSED = "content-type-refused", 415, "The content type is not accepted";
    EVENT_REFUSED = "event-refused", 422, "The event is not acceptable";
    FORBIDDEN = "forbidden", 403, "The token does not allow this";
    HOST_INVALID = "host-invalid", 400, "The request names no valid host";
    HOST_REFUSED = "host-refused", 421, "The request is for another host";
    INTERNAL = "internal", 500, "The server failed";
    INVALID_BODY = "invalid-body", 400, "The body is not what this path takes";
    INVALID_HEADER = "invalid-header", 400, "A header has a value that makes no sense";
    INVALID_ID = "invalid-id", 400, "The path holds something that is not an id";
    INVALID_JSON = "invalid-json", 400, "The body is not acceptable JSON";
    INVALID_QUERY = "invalid-query", 400, "The query is not what this path takes";
    KEY_TAKEN = "key-taken", 409, "The key named something else before";
    LAST_ADMIN_TOKEN = "last-admin-token", 409, "It is the last token that may administer";
    LIST_ENTRY_REFUSED = "list-entry-refused", 422, "The entry is not acceptable";
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The path does not take this method";
    NOT_FOUND = "not-found", 404, "There is no such thing";
    NOT_READY = "not-ready", 503, "The server is not ready";
    ORIGIN_REFUSED = "origin-refused", 403, "A page of another origin may not call";
    PLAYBOOK_EXISTS = "playbook-exists", 409, "There is such a playbook already";
    PLAYBOOK_LAPSED = "playbook-lapsed", 409, "The playbook may not be run now";
    PLAYBOOK_READ_ONLY = "playbook-read-only", 409, "The playbook belongs to a file";
    PLAYBOOK_REFUSED = "playbook-refused", 422, "The playbook is not acceptable";
    REACTION_READ_ONLY = "reaction-read-only", 409, "The reaction belongs to a file";
    REACTION_REFUSED = "reaction-refused", 422, "The reaction is not acceptable";
    REQUEST_TIMEOUT = "request-timeout", 503, "No answer was ready in time";
    RUN_STATE = "run-state", 409, "The run is not in a state for this";
    SECOND_PERSON = "second-person", 403, "Somebody else has to approve it, and be known";
    STOPPING = "stopping", 503, "The server is stopping";
    STORE_FULL = "store-full", 503, "The store has no space left";
    STORE_UNAVAILABLE = "store-unavailable", 503, "The store cannot be used now";
    STORED_DATA_UNREADABLE = "stored-data-unreadable", 500, "Stored data cannot be read";
    TOKEN_NAME_TAKEN = "token-name-taken", 409, "Another token has this name";
    TOKEN_REFUSED = "token-refused", 422, "The token is not acceptable";
    TOO_MANY_TAILS = "too-many-tails", 429, "Too many live views are open";
    UNAUTHORIZED = "unauthorized", 401, "A valid token is needed";
    UNKNOWN_PATH = "unknown-path", 404, "There is nothing at this path";
    VARIABLES_REFUSED = "variables-refused", 422, "The variables are not those that are asked for";
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_is_sorted_and_agrees_with_the_pages() {
        let names: Vec<_> = ALL.iter().map(|code| code.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for code in ALL {
            let heading = format!("# {}: {}\n", code.name, code.title);
            assert!(code.page.starts_with(&heading), "{}", code.name);
            for part in ["## What happened\n", "## What to do\n"] {
                assert!(code.page.contains(part), "{}: {part}", code.name);
            }
            let status = format!("HTTP status: {}\n", code.status);
            assert!(code.page.contains(&status), "{}: {status}", code.name);
        }
        // Pages of other parts of the product may stand beside these: they say so.
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(
                names.contains(&&*name) || !text.contains("HTTP status: "),
                "{name}: a page of an HTTP problem that no code names"
            );
        }
    }
}
