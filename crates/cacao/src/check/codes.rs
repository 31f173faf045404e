//! The one table of all checks: code, name, and what a finding weighs in each profile.
//!
//! A code never changes its meaning and is never used again. Each has a page in
//! `docs/errors/`.

use self::Level::{Error as E, Off as O, Warning as W};
use crate::Profile;

/// What a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Not reported.
    Off,
    /// Reported; the document stays valid.
    Warning,
    /// The document is not valid.
    Error,
}

/// One check.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// Its code, such as `CACAO002`.
    pub code: &'static str,
    /// Its name, such as `missing-property`.
    pub name: &'static str,
    /// What it looks for, in a sentence.
    pub about: &'static str,
    levels: [Level; 3],
}

impl Check {
    /// What its findings weigh in a profile.
    pub const fn level(&self, profile: Profile) -> Level {
        match profile {
            Profile::Lenient => self.levels[0],
            Profile::Standard => self.levels[1],
            Profile::Strict => self.levels[2],
        }
    }
}

macro_rules! checks {
    ($($constant:ident $code:literal $name:literal $lenient:ident $standard:ident $strict:ident $about:literal;)+) => {
        $(
            #[doc = $about]
            pub static $constant: Check = Check {
                code: $code,
                name: $name,
                about: $about,
                levels: [$lenient, $standard, $strict],
            };
        )+

        /// Every check, in the order of the codes.
        pub static ALL: &[&Check] = &[$(&$constant),+];
    };
}

// The three letters are lenient, standard and strict: Error, Warning, Off.
checks! {
    // The form of single values.
    JSON "CACAO001" "json" E E E "The text is I-JSON: names once, numbers exact, text of real characters.";
    MISSING "CACAO002" "missing-property" E E E "What an object must have is there.";
    KIND "CACAO003" "json-type" E E E "A value is of the JSON type that its property has.";
    UNKNOWN_PROPERTY "CACAO004" "unknown-property" W W E "CACAO knows the property.";
    CLOSED_WORD "CACAO005" "closed-vocabulary" E E E "A word is of its closed vocabulary.";
    OPEN_WORD "CACAO006" "open-vocabulary" O W W "A word is of its open vocabulary.";
    IDENTIFIER "CACAO007" "identifier" E E E "An identifier is a type, two hyphens and a UUID of RFC 4122.";
    TIMESTAMP "CACAO008" "timestamp" E E E "A timestamp is RFC 3339 in UTC, and on the calendar.";
    MILLISECONDS "CACAO009" "milliseconds" W E E "`created` and `modified` have exactly three decimals.";
    RANGE "CACAO010" "range" E E E "A number is within its range.";
    FEW "CACAO011" "too-few" W E E "A list or dictionary has as many elements as it must.";
    FIXED "CACAO012" "fixed-value" E E E "`type` and `spec_version` hold what they must.";
    NAME "CACAO013" "dictionary-name" W E E "Names in dictionaries are of the characters that they may be of.";
    IDENTIFIER_KIND "CACAO014" "identifier-type" E E E "An identifier names an object of a type that belongs there.";
    BASE64 "CACAO015" "base64" E E E "What is called base64 is base64.";

    // Identity and time.
    KEY_TYPE "CACAO016" "key-type" E E E "The key of an object names the type that the object has, and its `id` if it has one.";
    STEP_UUID "CACAO017" "step-uuid" W E E "The UUID of a step is of version 4.";
    PLAYBOOK_UUID "CACAO018" "playbook-uuid" O W W "The UUID of a playbook is of version 4 or 5.";
    SAME_UUID "CACAO019" "same-uuid" W E E "No two objects share a UUID.";
    MODIFIED "CACAO020" "modified-before-created" E E E "`modified` is not before `created`.";
    VALIDITY "CACAO021" "validity" E E E "`valid_until` is after `valid_from`.";
    DERIVED_FROM_SELF "CACAO022" "derived-from-itself" W W W "A playbook is not derived from itself.";
    NOT_VALID_NOW "CACAO023" "not-valid-now" W W W "The playbook is neither revoked nor out of its time.";

    // What the playbook says of itself.
    NO_ACTIVITIES "CACAO024" "no-activities" O W W "A playbook with types lists its activities.";
    TYPE_WITHOUT_ACTIVITY "CACAO025" "type-without-activity" O W W "The activity that a type of playbook must have is listed.";
    UNUSED_ACTIVITY "CACAO026" "unused-activity" O W W "A listed activity is that of a command.";
    UNLISTED_ACTIVITY "CACAO027" "unlisted-activity" O W W "The activity of a command is listed.";
    UNLISTED_SECTOR "CACAO028" "unlisted-sector" O W W "A sector used below is listed in `industry_sectors`.";
    UNLISTED_REFERENCE "CACAO029" "unlisted-reference" O W W "An external reference used below is repeated at the top.";
    SUMMARY "CACAO030" "processing-summary" W W W "The processing summary says what is so.";
    BARE_REFERENCE "CACAO031" "bare-reference" W E E "An external reference says more than a name.";
    LOCATION "CACAO032" "location" W E E "Latitude and longitude are on earth and together.";

    // What refers to what.
    NO_SUCH_STEP "CACAO033" "no-such-step" E E E "A step that is named is in the workflow.";
    NO_SUCH_AGENT "CACAO034" "no-such-agent" W E E "An agent that is named is defined as an agent.";
    NO_SUCH_TARGET "CACAO035" "no-such-target" W E E "A target that is named is defined as a target.";
    NO_SUCH_AUTHENTICATION "CACAO036" "no-such-authentication" E E E "Credentials that are named are defined.";
    NO_SUCH_MARKING "CACAO037" "no-such-marking" W E E "A marking that is named is defined.";
    NO_SUCH_EXTENSION "CACAO038" "no-such-extension" W E E "An extension that is used is defined.";
    UNUSED "CACAO039" "unused-definition" O W W "What is defined is used.";
    NO_SUCH_PLAYBOOK "CACAO040" "no-such-playbook" W W W "A playbook that a step runs is known, in that version.";
    RUNS_ITSELF "CACAO041" "runs-itself" W E E "A playbook does not run itself.";

    // The flow of control.
    START_TYPE "CACAO042" "start-type" E E E "`workflow_start` names a start step.";
    ONE_START "CACAO043" "one-start" E E E "There is exactly one start step.";
    BACK_TO_START "CACAO044" "back-to-start" E E E "Nothing leads back to the start step.";
    NO_END "CACAO045" "no-end" E E E "There is an end step, and a way from the start to one.";
    NO_ACTION "CACAO046" "no-action" W E E "There is a step that does something.";
    UNREACHABLE "CACAO047" "unreachable-step" W E E "A way leads to every step.";
    NO_NEXT "CACAO048" "no-next-step" E E E "Every step but an end says what comes next.";
    BOTH_NEXT "CACAO049" "completion-and-outcome" E E E "A step has `on_completion`, or `on_success` and `on_failure`, not both.";
    NOT_HERE "CACAO050" "next-step-not-here" E E E "An end step leads nowhere, and a start step cannot succeed or fail.";
    ONLY_FAILURE "CACAO051" "only-on-failure" W E E "A step that says what follows a failure says what follows success.";
    CYCLE "CACAO052" "cycle" E E E "No way leads back to where it came from: what repeats is a while-condition.";
    BRANCH_WITHOUT_END "CACAO053" "branch-without-end" W E E "Every branch reaches an end step.";
    BRANCH_LEAVES "CACAO054" "branch-leaves" W E E "A branch does not flow into steps of another branch.";
    SHARED_END "CACAO055" "shared-end" W W E "Every branch has an end step of its own.";
    SAME_BRANCH "CACAO056" "same-branch" W E E "The branches that a step opens begin with different steps.";
    NO_DEFAULT "CACAO057" "no-default" O W W "A switch says what is done with any other value.";
    OWN_BRANCH "CACAO058" "own-branch" E E E "A branch does not begin with the step that opens it.";
    EMPTY_BRANCH "CACAO059" "empty-branch" O W W "A branch does something.";
    NO_EXCEPTION "CACAO060" "no-exception" O O W "Where a failure has no step of its own, `workflow_exception` takes it.";
    EXCEPTION_OVERLAPS "CACAO061" "exception-overlaps" W W W "What handles an exception is apart from the main flow.";
    SHORT_TIMEOUT "CACAO062" "short-timeout" O W W "A step that opens branches has as much time as what is in them.";
    NO_TIMEOUT "CACAO063" "no-timeout" O O W "What waits for people has an end.";

    // Commands.
    ONE_FORM "CACAO064" "one-form" W E E "A command is there as text or as base64, not as both and not as neither.";
    EMPTY_COMMAND "CACAO065" "empty-command" W E E "A command says something.";
    START_LINE "CACAO066" "start-line" E E E "The start line of an HTTP command is a method, a target and a version.";
    OPENC2_METHOD "CACAO067" "openc2-method" E E E "The method of an OpenC2 command is POST.";
    ABSOLUTE_TARGET "CACAO068" "absolute-target" W W W "An HTTP command leaves the host to its target.";
    BODY_WITH_GET "CACAO069" "body-with-get" O W W "A GET has no body.";
    UNKNOWN_COMMAND "CACAO070" "unknown-command" W W W "The command is of a type that is known here.";
    AGENT_CANNOT "CACAO071" "agent-cannot" O W W "The agent is of a type that can carry the command out.";

    // Agents, targets, credentials.
    NO_ADDRESS "CACAO072" "no-address" W W W "What is reached over a network has an address.";
    MANY_ADDRESSES "CACAO073" "many-addresses" O W W "It is clear which address is used.";
    PORT "CACAO074" "port" E E E "A port is a number from 1 to 65535.";
    ADDRESS "CACAO075" "address" W E E "An address is one of its kind.";
    EMAIL "CACAO076" "email" W E E "An address of mail is one.";
    KMS "CACAO077" "kms" W E E "Credentials are in a key management system or here, not both.";
    LITERAL_SECRET "CACAO078" "literal-secret" W W W "A secret is not written into the playbook.";

    // Variables and conditions.
    VARIABLE_NAME "CACAO079" "variable-name" E E E "The name of a variable is __name__.";
    LOOSE_NAME "CACAO080" "loose-variable-name" O W E "The name of a variable begins with a letter after its underscores.";
    UNDECLARED "CACAO081" "undeclared-variable" E E E "A variable that is used is declared where it is used.";
    NEAR_MISS "CACAO082" "near-miss" W W W "What looks like a reference to a variable is one.";
    ARGUMENT "CACAO083" "undeclared-argument" W E E "A variable in `in_args` or `out_args` is declared.";
    ARGUMENT_KEYWORD "CACAO084" "argument-keyword" W W E "`in_args` and `out_args` hold names, without `:value`.";
    UNUSED_ARGUMENT "CACAO085" "unused-argument" O O W "What is in `in_args` is used.";
    UNLISTED_ARGUMENT "CACAO086" "unlisted-argument" O O W "What is used is in `in_args`, where there are any.";
    CONSTANT_SET "CACAO087" "constant-set" E E E "A constant is not set.";
    EXTERNAL_STEP "CACAO088" "external-step-variable" W E E "Only variables of the playbook come from its caller.";
    VALUE_TYPE "CACAO089" "value-type" W E E "The value of a variable is one of its type.";
    ODD_VALUE "CACAO090" "odd-value" O W W "The value of a variable is written as its type is meant.";
    SHADOWS "CACAO091" "shadows" W W W "A variable of a step does not hide one of the playbook.";
    PARALLEL_WRITERS "CACAO092" "parallel-writers" W W W "Branches side by side set different variables.";
    CONDITION "CACAO093" "condition" E E E "A condition can be read.";
    BARE_CONDITION "CACAO094" "bare-condition" O W E "A condition is a comparison expression of STIX.";
    OPERATOR "CACAO095" "operator" W E E "An operator, and what a variable is compared with, fit the variable's type.";

    TLP "CACAO096" "tlp-object" W E E "A marking of TLP is one of the five that are given.";
    SEVERAL_TLP "CACAO097" "several-tlp" W W W "There is one level of TLP.";
    MARKING_NOT_VALID "CACAO098" "marking-not-valid" W W W "A marking is neither revoked nor out of its time.";
    EXTENSION_NAME "CACAO099" "extension-property" W W E "A property of an extension is 3 to 250 lower-case letters, digits and `_`.";
    LAYOUT_POINTS "CACAO100" "layout-points" W E E "A line that is drawn has as many x as y, at least two of each.";
    LAYOUT_TARGET "CACAO101" "layout-target" W W W "A line that is drawn leads where the step leads.";
    SWITCH "CACAO102" "switch" E E E "A switch looks at one variable.";
    IMPOSSIBLE_CASE "CACAO103" "impossible-case" W W W "A case is a value that the variable can have.";
    ENDLESS "CACAO104" "endless-loop" W W W "Something in a loop changes what its condition asks about.";

    // Signatures.
    KEY_FORM "CACAO105" "key-form" W E E "A signature says in one way whose it is.";
    OTHER_PLAYBOOK "CACAO106" "other-playbook" E E E "A signature is of this playbook in this version.";
    SIGNATURE_NOT_VALID "CACAO107" "signature-not-valid" W W W "A signature is neither revoked nor out of its time.";
    ALGORITHM "CACAO108" "algorithm" W W W "A signature can be verified here.";
    SYMMETRIC "CACAO109" "symmetric" W W E "A signature can be made by one, and verified by all.";

    // The checks themselves.
    LIMITS "CACAO110" "limits" E E E "The playbook keeps within what is checked.";
    MORE "CACAO111" "more-findings" W W W "All findings are listed.";

    // Extensions whose schema is at hand.
    EXTENSION_DATA "CACAO112" "extension-data" W W E "What stands in an extension satisfies its schema.";

    // Commands of types that the specification does not have.
    OWN_COMMAND "CACAO113" "own-command" E E E "A command of a type of ours is as that type says.";
    ODD_OWN_COMMAND "CACAO114" "odd-own-command" W W W "A command of a type of ours says nothing in vain.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_unique_and_names_too() {
        for (number, pair) in ALL.windows(2).enumerate() {
            assert!(
                pair[0].code < pair[1].code,
                "{} {}",
                pair[0].code,
                pair[1].code
            );
            let names = ALL.iter().filter(|check| check.name == pair[0].name);
            assert_eq!(names.count(), 1, "{} (check {number})", pair[0].name);
        }
    }

    #[test]
    fn a_stricter_profile_never_weighs_less() {
        let weight = |level| match level {
            Level::Off => 0,
            Level::Warning => 1,
            Level::Error => 2,
        };
        for check in ALL {
            let [lenient, standard, strict] = check.levels.map(weight);
            assert!(lenient <= standard && standard <= strict, "{}", check.code);
        }
    }
}
