//! Reading scores: lines of JSON become rows of cells; CSV is left to its own module.

use super::columns::Layout;
use super::row::{Cell, Row};
use super::{ScoreRow, ScoreTable};
use crate::error::{ReadError, quoted};
use crate::jsonl::{is_blank, parse_line};
use crate::source::{Limits, Lines, Source, Step};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub(super) fn read(source: Source<'_>, limits: &Limits) -> Result<ScoreTable, ReadError> {
    let gathered = Gathered::new(source.file());
    if source.begins_json() {
        read_json(source, limits, gathered)
    } else {
        super::read_csv::read(source, limits, gathered)
    }
}

/// Rows so far, and the line of each id.
pub(super) struct Gathered {
    pub(super) file: PathBuf,
    rows: Vec<ScoreRow>,
    line_of_id: BTreeMap<String, u64>,
}

impl Gathered {
    fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), rows: Vec::new(), line_of_id: BTreeMap::new() }
    }

    pub(super) fn push(
        &mut self,
        layout: &Layout,
        cells: &[Cell],
        line: u64,
    ) -> Result<(), ReadError> {
        let row = Row { layout, cells, file: &self.file, line }.scores()?;
        if let Some(first_line) = self.line_of_id.insert(row.id.clone(), line) {
            let (file, id) = (self.file.clone(), row.id);
            return Err(ReadError::DuplicateId { file, id, first_line, line });
        }
        self.rows.push(row);
        Ok(())
    }

    pub(super) fn table(
        self,
        names: Option<Vec<String>>,
        source: Source<'_>,
    ) -> Result<ScoreTable, ReadError> {
        let Some(reference_names) = names.filter(|_| !self.rows.is_empty()) else {
            return Err(ReadError::Empty { file: self.file, what: "rows of scores" });
        };
        let sha256 = source.finish()?.sha256;
        Ok(ScoreTable { reference_names, rows: self.rows, sha256 })
    }

    pub(super) fn bad_line(&self, line: u64, problem: String, hint: Option<&str>) -> ReadError {
        ReadError::Line { file: self.file.clone(), line, problem, hint: hint.map(str::to_owned) }
    }
}

fn read_json(
    source: Source<'_>,
    limits: &Limits,
    mut gathered: Gathered,
) -> Result<ScoreTable, ReadError> {
    let mut lines = Lines::new(source, limits);
    let mut names: Option<Vec<String>> = None;
    let mut layout: Option<Layout> = None;
    loop {
        let step = lines.step()?;
        let line = lines.number();
        let ended = match step {
            Step::End => return gathered.table(names, lines.into_source()),
            Step::Damaged(problem) => {
                return Err(ReadError::Damaged { file: gathered.file, line, problem });
            }
            Step::TooLong => {
                let problem = format!("line longer than {} bytes", lines.limit());
                return Err(gathered.bad_line(line, problem, None));
            }
            Step::Line { ended } => ended,
        };
        if is_blank(lines.bytes()) {
            continue;
        }
        let FlatRow(keys, cells) = parse_line(lines.bytes(), ended).map_err(|problem| {
            let text = String::from_utf8_lossy(lines.bytes());
            let odd = ["NaN", "Infinity", "nan", "inf"].iter().any(|word| text.contains(word));
            let hint = odd.then_some("JSON has no NaN and no infinity; leave out the whole row");
            gathered.bad_line(line, problem, hint)
        })?;
        let same = layout.take().filter(|layout| layout.keys == keys);
        let current = match same {
            Some(layout) => layout,
            None => in_order(
                Layout::new(keys, &gathered.file, line)?,
                &mut names,
                &gathered.file,
                line,
            )?,
        };
        gathered.push(&current, &cells, line)?;
        layout = Some(current);
    }
}

/// Brings the references of a row into the order of the first row; all rows have the same.
fn in_order(
    mut layout: Layout,
    names: &mut Option<Vec<String>>,
    file: &Path,
    line: u64,
) -> Result<Layout, ReadError> {
    let names = names.get_or_insert_with(|| layout.reference_names());
    let mismatch = |problem: String| ReadError::Columns {
        file: file.to_owned(),
        line,
        problem,
        hint: "give every row a score by every model".into(),
    };
    if let Some((extra, _)) = layout.references.iter().find(|(name, _)| !names.contains(name)) {
        return Err(mismatch(format!("reference {} is not in the first row", quoted(extra))));
    }
    let place =
        |wanted: &String| layout.references.iter().find(|(name, _)| name == wanted).cloned();
    let references = names.iter().map(|name| place(name).ok_or(name)).collect::<Result<_, _>>();
    layout.references =
        references.map_err(|name| mismatch(format!("no scores by reference {}", quoted(name))))?;
    Ok(layout)
}

/// A JSON object of plain values, in its order; a key that stands twice is an error later.
struct FlatRow(Vec<String>, Vec<Cell>);

impl<'de> Deserialize<'de> for FlatRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FlatRowVisitor)
    }
}

struct FlatRowVisitor;

impl<'de> Visitor<'de> for FlatRowVisitor {
    type Value = FlatRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FlatRow, A::Error> {
        let mut row = FlatRow(Vec::new(), Vec::new());
        while let Some((key, cell)) = map.next_entry()? {
            row.0.push(key);
            row.1.push(cell);
        }
        Ok(row)
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or text")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Missing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Cell, E> {
        Ok(Cell::Wrong("true or false"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Wrong("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Wrong("an object"))
    }
}
