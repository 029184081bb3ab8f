-- What keys are used for: answered requests by clock hour and route.

CREATE TABLE key_usage (
    key_id       text           NOT NULL,
    -- The hour's beginning.
    hour         timestamptz(0) NOT NULL,
    method       text           NOT NULL,
    -- The route's template.
    route        text           NOT NULL,
    -- The first two segments of the route.
    endpoint     text           NOT NULL,
    -- Statuses below 400.
    succeeded    bigint         NOT NULL,
    -- All others, status 429 included.
    failed       bigint         NOT NULL,
    rate_limited bigint         NOT NULL,
    PRIMARY KEY (key_id, hour, route, method)
);

CREATE INDEX key_usage_hour ON key_usage (hour);
