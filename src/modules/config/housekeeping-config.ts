/** The part of modules.yaml that keeps logs and images of modules within bounds. */

/** When images are removed that no module needs. */
export interface ImageCleanupConfig {
  readonly enabled: boolean;
  /** How long after a clean-up the next one is. */
  readonly recurrenceMs: number;
  /** For how long an image has been needed by nothing when it is removed. */
  readonly ageMs: number;
  /** The time of day of clean-ups that are whole days apart, in minutes after midnight. */
  readonly timeMin: number;
  /** The share of free space, in percent, below which images are removed earlier; 0 for never. */
  readonly freePercent: number;
}

/** The parsed settings. */
export interface HousekeepingConfig {
  /** What is added to the options of a container's log, in the engine's words. */
  readonly logOptions: Readonly<Record<string, string>>;
  readonly imageCleanup: ImageCleanupConfig;
}

/** The settings, valid by the schema but not yet parsed. */
export interface RawHousekeeping {
  readonly log_options: { readonly max_size: string; readonly max_file: number };
  readonly image_garbage_collection: {
    readonly enabled: boolean;
    readonly cleanup_recurrence: string;
    readonly image_age_cleanup_threshold: string;
    readonly cleanup_time: string;
    readonly free_space_threshold_percent: number;
  };
}

const duration = { type: 'string', pattern: '^[1-9][0-9]{0,4}[mhd]$' } as const;
const unlimited = 'unlimited';

/** JSON schema of these settings. */
export const housekeepingProperties = {
  log_options: {
    description:
      'Limits of the logs that the engine stores in files, for containers whose create options have none; those of new containers.',
    type: 'object',
    additionalProperties: false,
    default: {},
    properties: {
      max_size: {
        description: 'The size of a file at which the next one begins, or unlimited.',
        type: 'string',
        pattern: '^([1-9][0-9]*[kmg]|unlimited)$',
        default: '10m',
      },
      max_file: {
        description: 'How many files there are at most.',
        type: 'integer',
        minimum: 1,
        maximum: 1000,
        default: 3,
      },
    },
  },
  image_garbage_collection: {
    description: 'Removal of images that the runtime pulled and that nothing needs any more.',
    type: 'object',
    additionalProperties: false,
    default: {},
    properties: {
      enabled: { description: 'Whether there is any.', type: 'boolean', default: true },
      cleanup_recurrence: {
        description: 'How often: minutes, hours or days, such as 1d.',
        ...duration,
        default: '1d',
      },
      image_age_cleanup_threshold: {
        description: 'For how long nothing needed an image that is removed, such as 7d.',
        ...duration,
        default: '7d',
      },
      cleanup_time: {
        description: 'The time of day, when cleanup_recurrence is in days.',
        type: 'string',
        pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
        default: '00:00',
      },
      free_space_threshold_percent: {
        description:
          "The share of free space on the engine's disk below which images are removed after an hour, and at once when it is too little for a pull; 0 for never.",
        type: 'integer',
        minimum: 0,
        maximum: 90,
        default: 10,
      },
    },
  },
} as const;

/** Parses the settings. */
export function parseHousekeeping(raw: RawHousekeeping): HousekeepingConfig {
  const { max_size, max_file } = raw.log_options;
  const images = raw.image_garbage_collection;
  const [hours = 0, minutes = 0] = images.cleanup_time.split(':').map(Number);
  return {
    logOptions:
      max_size === unlimited ? {} : { 'max-size': max_size, 'max-file': String(max_file) },
    imageCleanup: {
      enabled: images.enabled,
      recurrenceMs: milliseconds(images.cleanup_recurrence),
      ageMs: milliseconds(images.image_age_cleanup_threshold),
      timeMin: hours * 60 + minutes,
      freePercent: images.free_space_threshold_percent,
    },
  };
}

const unitMs = new Map([
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

function milliseconds(text: string): number {
  return Number(text.slice(0, -1)) * (unitMs.get(text.slice(-1)) ?? 0);
}
