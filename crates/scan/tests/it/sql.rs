//! SQL over logs: reads, and only reads.

use crate::log;
use stillwatch_scan::engine::{EngineParams, sql};
use stillwatch_scan::readers::ReadOptions;
use stillwatch_scan::{ScanError, input, readers};

fn ask(paths: &[String], query: &str) -> Result<Vec<Vec<String>>, ScanError> {
    use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
    let inputs = input::find(paths).expect("there are logs");
    let units = readers::plan(&inputs, &ReadOptions::default()).expect("planned").units;
    let params = EngineParams::default();
    let unasked = || Err(ScanError::Empty { paths: Vec::new() });
    let batches = sql(query, &units, &[7; 32], &params, unasked)?;
    let mut rows = Vec::new();
    for batch in &batches {
        let options = FormatOptions::default();
        let cells = |row| {
            let of = |column| ArrayFormatter::try_new(column, &options).expect("it can be shown");
            batch.columns().iter().map(|c| of(c).value(row).to_string()).collect()
        };
        rows.extend((0..batch.num_rows()).map(cells));
    }
    Ok(rows)
}

#[test]
fn counts_are_those_of_the_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = log::write(folder.path(), 20, 2);
    let lines = |p: &String| fs_err::read_to_string(p).expect("it is there").lines().count();
    let n: usize = paths.iter().map(lines).sum();
    let rows = ask(&paths, "select count(*) from exchanges").expect("answered");
    assert_eq!(rows, [[n.to_string()]]);
    let query = "select file, max(line), count(distinct account) > 1 from exchanges group by file \
                 order by file";
    let rows = ask(&paths, query).expect("answered");
    let expected: Vec<Vec<String>> =
        paths.iter().map(|p| vec![p.clone(), lines(p).to_string(), "true".to_owned()]).collect();
    assert_eq!(rows, expected);
}

#[test]
fn what_changes_or_reads_elsewhere_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = log::write(folder.path(), 5, 1);
    for query in [
        "drop table exchanges",
        "create table t as select 1",
        "insert into exchanges select * from exchanges",
        "copy (select 1) to 'x.csv'",
        "set datafusion.execution.batch_size = 1",
        "select * from '/etc/passwd'",
        "select nothing from exchanges",
        "no query",
    ] {
        assert!(ask(&paths, query).is_err(), "{query}");
    }
}

#[test]
fn findings_are_worked_out_only_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = log::write(folder.path(), 5, 1);
    let error = ask(&paths, "select * from accounts").expect_err("the analysis fails here");
    assert!(matches!(error, ScanError::Empty { .. }), "{error}");
}
