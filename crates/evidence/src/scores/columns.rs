//! Names of columns: which model and which text each one is about.

use crate::error::{ReadError, quoted};
use std::path::Path;

/// The name under which the model asked about stands in the columns.
pub(super) const SUSPECT: &str = "suspect";
/// The prefix of the columns that count tokens.
pub(super) const TOKENS: &str = "n_tokens";
const OTHERS: [&str; 5] = ["id", "account", "coin", "unit", "k"];

/// Where everything stands in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// The names as they stand, trimmed.
    pub(super) keys: Vec<String>,
    pub(super) id: usize,
    pub(super) account: Option<usize>,
    pub(super) coin: Option<usize>,
    pub(super) unit: Option<usize>,
    pub(super) k: Option<usize>,
    /// Columns of the suspect, released first.
    pub(super) suspect: Vec<usize>,
    /// Columns of each reference, in the order of their first column.
    pub(super) references: Vec<(String, Vec<usize>)>,
    pub(super) tokens: Option<Vec<usize>>,
}

/// Columns of one model (or of the token counts) while they are gathered.
#[derive(Default)]
struct Measure {
    name: String,
    released: Option<usize>,
    single: Option<usize>,
    /// (number in the name, column).
    numbered: Vec<(usize, usize)>,
}

/// What is wrong with the columns, and what to do.
struct Fault(String, String);

impl Layout {
    /// Sorts the columns out; `line` is where the names stand.
    pub(super) fn new(keys: Vec<String>, file: &Path, line: u64) -> Result<Self, ReadError> {
        Self::sort_out(keys).map_err(|Fault(problem, hint)| ReadError::Columns {
            file: file.to_owned(),
            line,
            problem,
            hint,
        })
    }

    fn sort_out(keys: Vec<String>) -> Result<Self, Fault> {
        let mut measures: Vec<Measure> = Vec::new();
        let mut others = [None; OTHERS.len()];
        for (column, key) in keys.iter().enumerate() {
            if keys.iter().take(column).any(|other| other == key) {
                return Err(Fault(
                    format!("two columns are called {}", quoted(key)),
                    "rename or remove one".into(),
                ));
            }
            if let Some(place) = OTHERS.iter().position(|other| other == key)
                && let Some(slot) = others.get_mut(place)
            {
                *slot = Some(column);
            } else {
                let (name, ending) = split_name(key).ok_or_else(|| unknown(key, &keys))?;
                let measure = measure_named(&mut measures, name);
                match ending {
                    Ending::Released => measure.released = Some(column),
                    Ending::Withheld(None) => measure.single = Some(column),
                    Ending::Withheld(Some(i)) => measure.numbered.push((i, column)),
                }
            }
        }
        let [id, account, coin, unit, k] = others;
        let id = id.ok_or_else(|| missing("id"))?;
        let mut suspect = None;
        let mut tokens = None;
        let mut references = Vec::new();
        for measure in measures {
            let name = measure.name.clone();
            let columns = measure.columns()?;
            match name.as_str() {
                SUSPECT => suspect = Some(columns),
                TOKENS => tokens = Some(columns),
                _ => references.push((name, columns)),
            }
        }
        let suspect = suspect.ok_or_else(|| missing("suspect_released"))?;
        let named = references.iter().map(|(name, columns)| (name.as_str(), columns));
        for (name, columns) in named.chain(tokens.as_ref().map(|columns| (TOKENS, columns))) {
            if columns.len() != suspect.len() {
                return Err(Fault(
                    format!(
                        "{} withheld columns for `{name}`, but {} for `{SUSPECT}`",
                        columns.len() - 1,
                        suspect.len() - 1
                    ),
                    "give every model a score for every text".into(),
                ));
            }
        }
        Ok(Self { keys, id, account, coin, unit, k, suspect, references, tokens })
    }

    /// The name of a column, for messages.
    pub(super) fn key(&self, column: usize) -> &str {
        self.keys.get(column).map_or("?", String::as_str)
    }

    pub(super) fn reference_names(&self) -> Vec<String> {
        self.references.iter().map(|(name, _)| name.clone()).collect()
    }
}

impl Measure {
    /// Released first, then the withheld in order.
    fn columns(mut self) -> Result<Vec<usize>, Fault> {
        let name = self.name;
        let released = self.released.ok_or_else(|| missing(&format!("{name}_released")))?;
        self.numbered.sort_unstable();
        let withheld: Vec<usize> = match (self.single, self.numbered.as_slice()) {
            (Some(column), []) => vec![column],
            (None, []) => return Err(missing(&format!("{name}_withheld"))),
            (None, numbered) => {
                let gap = (1..).zip(numbered).find(|(expected, (i, _))| expected != i);
                if let Some((expected, _)) = gap {
                    return Err(missing(&format!("{name}_withheld_{expected}")));
                }
                numbered.iter().map(|&(_, column)| column).collect()
            }
            (Some(_), _) => {
                return Err(Fault(
                    format!("both `{name}_withheld` and `{name}_withheld_1`"),
                    "number all of them or none".into(),
                ));
            }
        };
        Ok([released].into_iter().chain(withheld).collect())
    }
}

#[derive(Clone, Copy)]
enum Ending {
    Released,
    Withheld(Option<usize>),
}

/// Splits at the last `_released`, `_withheld` or `_withheld_N`, so that names may hold
/// anything, these words included.
fn split_name(key: &str) -> Option<(&str, Ending)> {
    let (name, ending) = if let Some(name) = key.strip_suffix("_released") {
        (name, Ending::Released)
    } else if let Some(name) = key.strip_suffix("_withheld") {
        (name, Ending::Withheld(None))
    } else {
        let (rest, digits) = key.rsplit_once('_')?;
        let name = rest.strip_suffix("_withheld")?;
        let number: usize = digits.parse().ok()?;
        // `_withheld_01` and `_withheld_+1` would be second names of `_withheld_1`.
        if number == 0 || number.to_string() != digits {
            return None;
        }
        (name, Ending::Withheld(Some(number)))
    };
    (!name.is_empty()).then_some((name, ending))
}

fn measure_named<'a>(measures: &'a mut Vec<Measure>, name: &str) -> &'a mut Measure {
    let at = measures.iter().position(|measure| measure.name == name).unwrap_or_else(|| {
        measures.push(Measure { name: name.to_owned(), ..Measure::default() });
        measures.len() - 1
    });
    &mut measures[at]
}

fn missing(column: &str) -> Fault {
    Fault(
        format!("no column {}", quoted(column)),
        "needed are id, suspect_released, suspect_withheld (or suspect_withheld_1 …), and the \
         same pair of columns for each reference"
            .into(),
    )
}

fn unknown(key: &str, keys: &[String]) -> Fault {
    let problem = format!("unknown column {}", quoted(key));
    let hint = if keys.len() == 1 && key.contains([';', '\t']) {
        "separate the columns by commas"
    } else {
        "columns are id, account, coin, unit, k, n_tokens_released, n_tokens_withheld, \
         suspect_released, suspect_withheld (or …_withheld_1, _2, …), and NAME_released and \
         NAME_withheld for each reference; remove or rename it"
    };
    Fault(problem, hint.into())
}

/// Whether a reference can be called so.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.trim() != name {
        return Err(format!("a reference can't be called {}: empty or padded", quoted(name)));
    }
    if name == SUSPECT || name == TOKENS {
        return Err(format!("a reference can't be called {}: the name is taken", quoted(name)));
    }
    Ok(())
}
