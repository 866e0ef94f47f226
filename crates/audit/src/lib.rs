//! The battery: runs tests on a case, combines findings into a verdict, writes the report.
