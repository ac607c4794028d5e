//! The printed table.

/// Prints rows of `(name, figure)` with the ratio of each to the first, which is ours. `better_low`: smaller is better.
pub fn print(title: &str, unit: &str, rows: &[(&str, f64)], better_low: bool) {
    println!("\n{title}");
    let Some((_, ours)) = rows.first() else { return };
    for (name, figure) in rows {
        let ratio = if better_low { figure / ours } else { ours / figure };
        println!("  {name:<44} {figure:>10.2} {unit:<14} {ratio:>7.2} x");
    }
}
