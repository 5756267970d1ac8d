CircuitBreaker::builder("payments")
    .trip_when(TripPolicy::slow_rate(0.5).slower_than(Duration::from_secs(2)).min_calls(5))
    .trip_when(TripPolicy::latency_percentile(99.0).above(Duration::from_millis(250)).min_calls(50))
    .trip_when(TripPolicy::slower_than_usual(4.0).percentile(95.0))
    .build()?
