//! The one form in which a result is written: same seed and input, same bytes.
//!
//! Fields stand in the order of the structs, maps are sorted, floats take their shortest form,
//! and a number that isn't finite is an error: JSON would turn it into `null` silently.

use crate::{AuditResult, Finding};

/// The result as pretty-printed JSON with a line end. `Err` names a field that isn't finite.
pub fn result_json(result: &AuditResult) -> Result<String, String> {
    if let Some(field) = non_finite(result) {
        return Err(format!("field `{field}` is not finite"));
    }
    let mut json = serde_json::to_string_pretty(result).map_err(|error| error.to_string())?;
    json.push('\n');
    Ok(json)
}

fn non_finite(result: &AuditResult) -> Option<String> {
    let mut numbers: Vec<(String, Option<f64>)> = vec![("alpha".into(), Some(result.alpha))];
    for (part, value) in &result.alpha_split {
        numbers.push((format!("alpha_split.{part}"), Some(*value)));
    }
    for (i, placebo) in result.grade.placebos.iter().enumerate() {
        let field = format!("grade.placebos[{i}].p_value_two_sided");
        numbers.push((field, Some(placebo.p_value_two_sided)));
    }
    for (i, reference) in result.references.iter().enumerate() {
        numbers.push((format!("references[{i}].beta"), Some(reference.beta)));
        let field = format!("references[{i}].own_p_value_two_sided");
        numbers.push((field, Some(reference.own_p_value_two_sided)));
    }
    for (i, finding) in result.findings.iter().enumerate() {
        let of_finding = numbers_of(finding);
        numbers.extend(of_finding.map(|(name, value)| (format!("findings[{i}].{name}"), value)));
    }
    for (i, account) in result.accounts.iter().enumerate() {
        let values = [
            ("p_value", account.p_value),
            ("log10_p_value", account.log10_p_value),
            ("e_value", account.e_value),
            ("log10_e_value", account.log10_e_value),
        ];
        numbers.extend(values.map(|(name, value)| (format!("accounts[{i}].{name}"), value)));
    }
    let odd = |value: Option<f64>| value.is_some_and(|value| !value.is_finite());
    numbers.into_iter().find(|(_, value)| odd(*value)).map(|(field, _)| field)
}

fn numbers_of(finding: &Finding) -> [(&'static str, Option<f64>); 9] {
    let effect = finding.effect.as_ref();
    let interval = effect.map(|effect| effect.ci95);
    [
        ("statistic", Some(finding.statistic)),
        ("p_value", finding.p_value),
        ("log10_p_value", finding.log10_p_value),
        ("e_value", finding.e_value),
        ("log10_e_value", finding.log10_e_value),
        ("effect.estimate", effect.map(|effect| effect.estimate)),
        ("effect.ci95[0]", interval.map(|[low, _]| low)),
        ("effect.ci95[1]", interval.map(|[_, high]| high)),
        ("min_detectable_effect", finding.min_detectable_effect),
    ]
}
