//! What scopes promise: who sees and sets which variable, and what becomes of branches.

use serde_json::json;

use super::*;
use crate::variable::Type;

fn declare(variables: Json) -> Declarations {
    let members = variables.as_object().expect("an object");
    let one = |(name, declaration): (&String, &Json)| {
        let variable = Variable::declared(declaration).expect("a value of its type");
        (Name::parse(name).expect("a name"), variable)
    };
    members.iter().map(one).collect()
}

fn start(variables: Json) -> Scope {
    Scope::start(declare(variables), []).expect("nothing is missing")
}

fn value(scope: &Scope, name: &str) -> Option<String> {
    let variable = scope.variable(name).expect("declared");
    variable.value.as_ref().map(ToString::to_string)
}

#[test]
fn the_inner_variable_is_seen_and_assigned() {
    let mut scope = start(json!({
        "__a__": {"type": "string", "value": "outer"},
        "__b__": {"type": "integer", "value": "1"},
    }));
    scope.enter(declare(
        json!({"__a__": {"type": "string", "value": "inner"}}),
    ));
    assert_eq!(value(&scope, "__a__").as_deref(), Some("inner"));
    scope.assign("__a__", &json!("written")).expect("assigned");
    scope.assign("__b__", &json!(2)).expect("assigned");
    assert_eq!(value(&scope, "__a__").as_deref(), Some("written"));
    assert_eq!(scope.visible().len(), 2);
    let left = scope.leave().expect("there was an inner scope");
    assert_eq!(
        left.variable("__a__").and_then(|a| a.value.clone()),
        Some(Value::Text("written".into()))
    );
    assert_eq!(value(&scope, "__a__").as_deref(), Some("outer"));
    assert_eq!(value(&scope, "__b__").as_deref(), Some("2"));
    assert_eq!(scope.leave(), None, "the outermost scope stays");
    assert_eq!(value(&scope, "__b__").as_deref(), Some("2"));
}

#[test]
fn what_cannot_be_assigned_is_told() {
    let mut scope = start(json!({
        "__c__": {"type": "string", "value": "x", "constant": true},
        "__n__": {"type": "integer"},
    }));
    assert!(matches!(
        scope.assign("__c__", &json!("y")),
        Err(Error::Constant { .. })
    ));
    assert!(matches!(
        scope.assign("__d__", &json!("y")),
        Err(Error::Undeclared { .. })
    ));
    assert!(matches!(
        scope.assign("__n__", &json!("y")),
        Err(Error::Value { .. })
    ));
    assert_eq!(scope.assign("__n__", &Json::Null), Ok(()));
    assert_eq!(value(&scope, "__c__").as_deref(), Some("x"));
}

#[test]
fn external_variables_get_their_values_from_the_caller() {
    let variables = json!({
        "__in__": {"type": "ipv4-addr", "external": true, "constant": true},
        "__own__": {"type": "string", "external": true, "value": "mine"},
        "__inside__": {"type": "string"},
    });
    let start = |given: &[(&str, Json)]| {
        let given = given.iter().map(|(name, json)| (*name, json));
        Scope::start(declare(variables.clone()), given)
    };
    let scope = start(&[("__in__", json!("10.0.0.1"))]).expect("complete");
    assert_eq!(value(&scope, "__in__").as_deref(), Some("10.0.0.1"));
    assert_eq!(value(&scope, "__own__").as_deref(), Some("mine"));
    assert!(matches!(start(&[]), Err(Error::Missing { .. })));
    assert!(matches!(
        start(&[("__in__", Json::Null)]),
        Err(Error::Missing { .. })
    ));
    assert!(matches!(
        start(&[("__inside__", json!(""))]),
        Err(Error::NotExternal { .. })
    ));
    assert!(matches!(
        start(&[("__x__", json!(""))]),
        Err(Error::Undeclared { .. })
    ));
    assert!(matches!(
        start(&[("__in__", json!("x"))]),
        Err(Error::Value { .. })
    ));
}

#[test]
fn branches_do_not_see_each_other_and_are_joined_in_order() {
    let text = json!({"type": "string", "value": "-"});
    let mut scope = start(json!({"__a__": text, "__b__": text, "__c__": text}));
    scope.assign("__c__", &json!("before")).expect("assigned");
    let mut branches: Vec<Scope> = (0..3).map(|_| scope.branch()).collect();
    let mut assign = |branch: usize, name, to| {
        let branch: &mut Scope = &mut branches[branch];
        branch.assign(name, &json!(to)).expect("assigned");
    };
    assign(2, "__a__", "two");
    assign(0, "__a__", "zero");
    assign(0, "__b__", "same");
    assign(1, "__b__", "same");
    branches[1].enter(declare(json!({"__a__": text})));
    branches[1]
        .assign("__a__", &json!("its own"))
        .expect("assigned");
    assert_eq!(value(&branches[1], "__c__").as_deref(), Some("before"));
    assert_eq!(value(&scope, "__a__").as_deref(), Some("-"));
    let conflicts = scope.join(branches).expect("its own branches");
    let a = Name::parse("__a__").expect("a name");
    assert_eq!(
        conflicts,
        [Conflict {
            name: a,
            branches: vec![0, 2]
        }]
    );
    assert_eq!(value(&scope, "__a__").as_deref(), Some("two"));
    assert_eq!(value(&scope, "__b__").as_deref(), Some("same"));
    assert_eq!(
        value(&scope, "__c__").as_deref(),
        Some("before"),
        "a branch that did not write it changes nothing"
    );
}

#[test]
fn what_inner_branches_assigned_counts_for_the_outer_join() {
    let mut scope = start(json!({"__a__": {"type": "string", "value": "-"}}));
    let (mut left, mut right) = (scope.branch(), scope.branch());
    let mut inner = left.branch();
    inner.assign("__a__", &json!("inner")).expect("assigned");
    assert_eq!(left.join([inner]), Ok(vec![]));
    right.assign("__a__", &json!("right")).expect("assigned");
    let conflicts = scope.join([left, right]).expect("its own branches");
    assert_eq!(conflicts.len(), 1);
    let strange = Scope::default();
    assert_eq!(scope.join([strange]), Err(Error::Left { branch: 0 }));
}

#[test]
fn a_declaration_is_read_with_its_type() {
    let variable = Variable::declared(&json!({"type": "long", "value": "12", "constant": true}));
    let variable = variable.expect("a variable");
    assert_eq!(variable.kind, Type::Long);
    assert!(variable.constant && !variable.external);
    assert!(Variable::declared(&json!({"type": "long", "value": "x"})).is_err());
}
