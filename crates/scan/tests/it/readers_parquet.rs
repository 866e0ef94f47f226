//! Parquet dumps of products, written by another library than reads them as rows.

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::parquet::arrow::ArrowWriter;
use std::path::Path;
use std::sync::Arc;
use stillwatch_scan::fuzzing::Kept;
use stillwatch_scan::input;
use stillwatch_scan::readers::{Format, ReadOptions, plan, read_unit};

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let file = fs_err::File::create(path).expect("made").into_parts().0;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

#[test]
fn an_export_of_langfuse() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("observations.parquet");
    let input = r#"[{"role":"user","content":"Hi"}]"#;
    let times = [1_770_112_800_120_000, 1_770_112_801_000_000];
    write(
        &path,
        vec![
            ("id", texts(&[Some("ob1"), Some("ob2")])),
            ("trace_id", texts(&[Some("t"), Some("t")])),
            ("type", texts(&[Some("GENERATION"), Some("SPAN")])),
            ("start_time", Arc::new(TimestampMicrosecondArray::from(times.to_vec()))),
            ("user_id", texts(&[Some("cust-9"), None])),
            ("input", texts(&[Some(input), None])),
            ("output", texts(&[Some("Hello"), None])),
        ],
    );
    let inputs = input::find(&[path.display().to_string()]).expect("it is there");
    let plan = plan(&inputs, &ReadOptions::default()).expect("its format is found");
    assert_eq!(plan.detected[0].format, Format::Langfuse);
    let mut kept = Kept::default();
    let report = read_unit(&plan.units[0], &mut kept).expect("it is readable");
    assert_eq!((report.n_rows, report.n_passed_over, report.n_lines), (1, 1, 2));
    let row = &kept.rows[0].1;
    assert_eq!(row.account.as_deref(), Some("cust-9"));
    assert_eq!(row.time_ms, Some(1_770_112_800_120));
    assert_eq!((&*row.user, &*row.response), ("Hi", "Hello"));
}

#[test]
fn a_table_of_nobody_and_a_broken_one_are_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log.parquet");
    write(&path, vec![("colour", texts(&[Some("red")]))]);
    let look = || {
        let inputs = input::find(&[path.display().to_string()]).expect("it is there");
        plan(&inputs, &ReadOptions::default()).expect_err("no log").to_string()
    };
    assert!(look().contains("these fields: colour"), "{}", look());
    fs_err::write(&path, b"PAR1 and nothing else").expect("written");
    assert!(look().contains("Parquet"), "{}", look());
}
