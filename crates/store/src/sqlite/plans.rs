//! Which index each statement uses. What walks a whole table, or sorts, gets slower with
//! every stored run; a plan shows that without a million of them.

use conche_core::run::Status;
use conche_core::{EventId, RunId, Timestamp};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use uuid::Uuid;

use super::claim::READY;
use super::expire::{ENDED, OLD_EVENTS, OLD_PAIRS, OLD_RUNS};
use super::lease::{FREE, NEXT_HOLDER};
use super::list::{events_sql, runs_sql};
use super::migrate;
use super::run_store::NEXT_DUE;
use super::storms::{NEXT_RIPE, OVER, RIPE};
use crate::{EventFilter, Page, RunFilter};

fn database() -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate::run(&mut connection).unwrap();
    connection
}

fn plan(connection: &Connection, sql: &str, values: Vec<Value>) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let lines = statement
        .query_map(params_from_iter(values), |row| row.get::<_, String>(3))
        .unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

fn assert_flat(plan: &str, index: &str, sql: &str) {
    assert!(plan.contains(index), "{sql}\nuses {plan}");
    assert!(!plan.contains("TEMP B-TREE"), "{sql}\nsorts: {plan}");
}

#[test]
fn the_engines_look_ups_never_walk_a_table() {
    let connection = database();
    let number = || Value::Integer(1);
    let blob = || Value::Blob(vec![1; 16]);
    for (sql, values, index) in [
        (READY, vec![number(), number()], "runs_by_wake"),
        (NEXT_DUE, vec![], "runs_by_wake"),
        (NEXT_HOLDER, vec![blob()], "runs_by_wake"),
        (FREE, vec![blob(), number()], "runs_by_wake"),
        (OLD_RUNS, vec![number(), number()], "runs_by_end"),
        (OLD_EVENTS, vec![number(), number()], "events_by_receipt"),
        (OLD_PAIRS, vec![number(), number()], "dedup_by_age"),
        (RIPE, vec![number(), number()], "storms_by_end"),
        (NEXT_RIPE, vec![], "storms_by_end"),
        (OVER, vec![number(), number()], "storms_by_end"),
        (ENDED, vec![number(), number()], "list_entries_by_end"),
    ] {
        let plan = plan(&connection, sql, values);
        assert_flat(&plan, index, sql);
        assert!(!plan.contains("SCAN"), "{sql}\nwalks: {plan}");
    }
}

#[test]
fn every_list_of_runs_follows_an_index() {
    let connection = database();
    let by = |status, name: bool, event: bool| RunFilter {
        status,
        name: name.then(|| "scan".to_owned()),
        event: event.then(|| EventId::new(Uuid::nil())),
    };
    let (common, rare) = (Some(Status::Succeeded), Some(Status::Failed));
    for (filter, index) in [
        (by(None, false, false), "runs"),
        (by(rare, false, false), "runs_by_status"),
        (by(common, false, false), "runs_by_status"),
        (by(None, true, false), "runs_by_name"),
        (by(common, true, false), "runs_by_name"),
        (by(rare, true, false), "runs_by_status"),
        (by(None, false, true), "runs_by_event"),
        (by(rare, true, true), "runs_by_event"),
    ] {
        for before in [None, Some(RunId::new(Uuid::max()))] {
            let (sql, values) = runs_sql(filter.clone(), Page { before, limit: 50 });
            assert_flat(&plan(&connection, &sql, values), index, &sql);
        }
    }
}

#[test]
fn every_list_of_events_follows_an_index() {
    let connection = database();
    let by = |event_type: bool, source: bool| EventFilter {
        event_type: event_type.then(|| "push".to_owned()),
        source: source.then(|| "github".to_owned()),
        since: None,
    };
    for (filter, index) in [
        (by(false, false), "sqlite_autoindex_events_1"),
        (by(true, false), "events_by_type"),
        (by(false, true), "events_by_source"),
        (by(true, true), "events_by_type"),
    ] {
        for since in [None, Some(Timestamp::UNIX_EPOCH)] {
            for before in [None, Some(EventId::new(Uuid::max()))] {
                let filter = EventFilter {
                    since,
                    ..filter.clone()
                };
                let (sql, values) = events_sql(filter, Page { before, limit: 50 });
                assert_flat(&plan(&connection, &sql, values), index, &sql);
            }
        }
    }
}
