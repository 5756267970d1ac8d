CircuitBreaker::builder("payments")
    .window(Window::time(Duration::from_secs(30), 10))
    .trip_when(TripPolicy::consecutive_failures(5))
    .trip_when(TripPolicy::failure_count(20))
    .trip_when(TripPolicy::failure_rate(0.5).min_calls(10))
    .open_for(Duration::from_secs(2))
    .probes(1)
    .build()?
