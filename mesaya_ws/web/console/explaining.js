/**
 * Asking the service what a record would become: `POST /explain`.
 *
 * @module
 */

import { ask } from "./gateway.js";
import { useEffect, useSettled, useState } from "./html.js";

/** Return what a record would become, asked whenever it has not changed for a moment: {explanation?, error?}. */
export function useExplanation(record, user, again) {
  const body = useSettled(JSON.stringify({ topic: record.topic, key: record.key, value: record.value, user: user?.trim() || undefined }));
  const [answer, setAnswer] = useState({});
  useEffect(() => {
    const ending = new AbortController();
    ask("/explain", { body: JSON.parse(body), asOperator: true, signal: ending.signal }).then(
      (explanation) => setAnswer({ explanation }),
      (error) => ending.signal.aborted || setAnswer({ error }),
    );
    return () => ending.abort();
  }, [body, again]);
  return answer;
}
