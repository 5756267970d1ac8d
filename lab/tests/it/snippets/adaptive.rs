CircuitBreaker::builder("payments")
    .trip_when(TripPolicy::adaptive().tolerate(0.0).false_trip_budget(Duration::from_secs(7 * 86_400)).slower_than(Duration::from_millis(1500)))
    .build()?
