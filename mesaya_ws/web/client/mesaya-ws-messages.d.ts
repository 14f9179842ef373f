/**
 * The events of the gateway's channels, made by `scripts/client_types.py` of the description of its protocol
 * (`/asyncapi.json`): what is changed here is overwritten.
 */

interface Passing {
  readonly channel: string;
}

interface Placed extends Passing {
  /** Where to resume from, to receive what follows. */
  readonly position: string;
  /** When it happened, as the platform says it. */
  readonly timestamp: string;
}

/** What happened to a reservation; null or missing: it is not known. */
export interface ReservationEvent extends Placed {
  readonly type: "reservation.created" | "reservation.updated" | "reservation.deleted" | "reservation.status_changed" | "reservation.acknowledged" | "reservation.reminder";
  readonly data: {
    readonly reservationId: string;
    readonly restaurantId?: string | null;
    readonly userId?: string | null;
    readonly tableId?: string | null;
    readonly userName?: string | null;
    readonly reservationDate?: string | null;
    readonly reservationTime?: string | null;
    readonly numberOfGuests?: number | null;
    readonly createdAt?: string | null;
    readonly updatedAt?: string | null;
    /** A status word, in lower case. */
    readonly status?: string | null;
    readonly clientName?: string | null;
    readonly date?: string | null;
    readonly newStatus?: string;
    readonly previousStatus?: string | null;
    readonly [field: string]: any;
  };
}

/** What happened to a payment; null or missing: it is not known. */
export interface PaymentEvent extends Placed {
  readonly type: "payment.created" | "payment.updated" | "payment.deleted" | "payment.status_changed";
  readonly data: {
    readonly paymentId: string;
    readonly reservationId?: string | null;
    readonly subscriptionId?: string | null;
    readonly amount?: number | null;
    readonly date?: string | null;
    readonly createdAt?: string | null;
    readonly updatedAt?: string | null;
    /** A status word, in lower case. */
    readonly paymentStatus?: string | null;
    readonly newStatus?: string;
    readonly previousStatus?: string | null;
    readonly [field: string]: any;
  };
}

/** What happened to a restaurant; null or missing: it is not known. */
export interface RestaurantEvent extends Placed {
  readonly type: "restaurant.created" | "restaurant.updated" | "restaurant.deleted" | "restaurant.status_changed" | "restaurant.owner_changed";
  readonly data: {
    readonly restaurantId: string;
    readonly name?: string;
    readonly description?: string | null;
    readonly location?: {
      readonly [field: string]: any;
    };
    readonly openTime?: string;
    readonly closeTime?: string;
    readonly daysOpen?: readonly any[];
    readonly totalCapacity?: number;
    readonly subscriptionId?: string;
    readonly imageId?: string | null;
    readonly adminNote?: string | null;
    readonly active?: boolean;
    readonly ownerId?: string;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    /** A status word, in lower case. */
    readonly status?: string;
    readonly sections?: readonly any[];
    readonly newStatus?: string;
    readonly previousStatus?: string | null;
    readonly [field: string]: any;
  };
}

/** Who holds tables from now on. */
export interface HoldCreatedEvent extends Placed {
  readonly type: "hold.created";
  readonly data: {
    readonly holdId: string;
    readonly userId: string;
    readonly clientName: string | null;
    /** Grows with every hold: who writes checks it. */
    readonly token: number;
    /** The tables that are held. */
    readonly tableIds: readonly string[];
    /** The slot's begin; null: the tables are held as such. */
    readonly from: string | null;
    /** The first moment after the slot. */
    readonly to: string | null;
    /** When the hold ends, by the clock of the event log. */
    readonly expiresAt: string;
    /** Seconds until then, as of the message's time. */
    readonly expiresIn: number;
    /** Holds that came to their end with the same record. */
    readonly ended?: readonly ({
      readonly holdId: string;
      readonly userId: string;
      readonly clientName: string | null;
      /** The tables that are held. */
      readonly tableIds: readonly string[];
      /** The slot's begin; null: the tables are held as such. */
      readonly from: string | null;
      /** The first moment after the slot. */
      readonly to: string | null;
      readonly reason: "released" | "expired" | "disconnected" | "reserved" | "abandoned";
      readonly reservationId?: string;
    })[];
  };
}

/** A hold has ended, and why. */
export interface HoldEndedEvent extends Placed {
  readonly type: "hold.ended";
  readonly data: {
    readonly holdId: string;
    readonly userId: string;
    readonly clientName: string | null;
    /** The tables that are held. */
    readonly tableIds: readonly string[];
    /** The slot's begin; null: the tables are held as such. */
    readonly from: string | null;
    /** The first moment after the slot. */
    readonly to: string | null;
    readonly reason: "released" | "expired" | "disconnected" | "reserved" | "abandoned";
    readonly reservationId?: string;
    /** Holds that came to their end with the same record. */
    readonly ended?: readonly ({
      readonly holdId: string;
      readonly userId: string;
      readonly clientName: string | null;
      /** The tables that are held. */
      readonly tableIds: readonly string[];
      /** The slot's begin; null: the tables are held as such. */
      readonly from: string | null;
      /** The first moment after the slot. */
      readonly to: string | null;
      readonly reason: "released" | "expired" | "disconnected" | "reserved" | "abandoned";
      readonly reservationId?: string;
    })[];
  };
}

/** What happened to a table; null or missing: it is not known. */
export interface TableEvent extends Placed {
  readonly type: "table.created" | "table.updated" | "table.deleted" | "table.status_changed";
  readonly data: {
    readonly tableId: string;
    readonly posX?: number;
    readonly posY?: number;
    readonly width?: number;
    readonly height?: number;
    readonly sectionId?: string;
    readonly number?: number;
    readonly capacity?: number;
    readonly tableImageId?: string;
    readonly chairImageId?: string;
    readonly isAvailable?: boolean;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    /** A status word, in lower case. */
    readonly status?: string;
    readonly newStatus?: string;
    readonly previousStatus?: string | null;
    readonly [field: string]: any;
  };
}

/** What happened to a section; null or missing: it is not known. */
export interface SectionEvent extends Placed {
  readonly type: "section.created" | "section.updated" | "section.deleted" | "section.status_changed";
  readonly data: {
    readonly sectionId: string;
    readonly posX?: number;
    readonly posY?: number;
    readonly width?: number;
    readonly height?: number;
    readonly restaurantId?: string;
    readonly name?: string;
    readonly description?: string | null;
    readonly layoutMetadata?: {
      readonly [field: string]: any;
    };
    readonly createdAt?: string;
    readonly updatedAt?: string;
    /** A status word, in lower case. */
    readonly status?: string;
    readonly tables?: readonly any[];
    readonly newStatus?: string;
    readonly previousStatus?: string | null;
    readonly [field: string]: any;
  };
}

/** What happened to a section object; null or missing: it is not known. */
export interface SectionObjectEvent extends Placed {
  readonly type: "section_object.created" | "section_object.updated" | "section_object.deleted" | "section_object.status_changed";
  readonly data: {
    readonly sectionObjectId: string;
    readonly sectionId?: string;
    readonly objectId?: string;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    readonly [field: string]: any;
  };
}

/** Somebody holds tables from now on. */
export interface TableSelectingEvent extends Placed {
  readonly type: "table.selecting";
  readonly data: {
    /** The tables that are held. */
    readonly tableIds: readonly string[];
    /** The slot's begin; null: the tables are held as such. */
    readonly from: string | null;
    /** The first moment after the slot. */
    readonly to: string | null;
    /** When the hold ends, by the clock of the event log. */
    readonly expiresAt: string;
    /** Seconds until then, as of the message's time. */
    readonly expiresIn: number;
    /** Holds that came to their end with the same record. */
    readonly released?: readonly ({
      /** The tables that are held. */
      readonly tableIds: readonly string[];
      /** The slot's begin; null: the tables are held as such. */
      readonly from: string | null;
      /** The first moment after the slot. */
      readonly to: string | null;
      readonly reason: "released" | "expired" | "disconnected" | "reserved" | "abandoned";
    })[];
  };
}

/** Tables are held no longer. */
export interface TableReleasedEvent extends Placed {
  readonly type: "table.released";
  readonly data: {
    /** The tables that are held. */
    readonly tableIds: readonly string[];
    /** The slot's begin; null: the tables are held as such. */
    readonly from: string | null;
    /** The first moment after the slot. */
    readonly to: string | null;
    readonly reason: "released" | "expired" | "disconnected" | "reserved" | "abandoned";
    /** Holds that came to their end with the same record. */
    readonly released?: readonly ({
      /** The tables that are held. */
      readonly tableIds: readonly string[];
      /** The slot's begin; null: the tables are held as such. */
      readonly from: string | null;
      /** The first moment after the slot. */
      readonly to: string | null;
      readonly reason: "released" | "expired" | "disconnected" | "reserved" | "abandoned";
    })[];
  };
}

/** What happened to a menu; null or missing: it is not known. */
export interface MenuEvent extends Placed {
  readonly type: "menu.created" | "menu.updated" | "menu.deleted" | "menu.status_changed";
  readonly data: {
    readonly menuId: string;
    readonly restaurantId?: string;
    readonly name?: string;
    readonly description?: string;
    readonly price?: number;
    readonly imageId?: string | null;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    readonly dishes?: readonly any[];
    readonly [field: string]: any;
  };
}

/** What happened to a dish; null or missing: it is not known. */
export interface DishEvent extends Placed {
  readonly type: "dish.created" | "dish.updated" | "dish.deleted" | "dish.status_changed";
  readonly data: {
    readonly dishId: string;
    readonly restaurantId?: string;
    readonly name?: string;
    readonly description?: string;
    readonly price?: number;
    readonly imageId?: string;
    readonly menuId?: string;
    readonly categoryId?: string | null;
    readonly categoryName?: string | null;
    readonly categoryDescription?: string | null;
    readonly categoryOrder?: number | null;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    readonly [field: string]: any;
  };
}

/** What happened to a review; null or missing: it is not known. */
export interface ReviewEvent extends Placed {
  readonly type: "review.created" | "review.updated" | "review.deleted" | "review.status_changed";
  readonly data: {
    readonly reviewId: string;
    readonly restaurantId?: string;
    readonly userId?: string;
    readonly userName?: string | null;
    readonly rating?: number;
    readonly comment?: string | null;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    readonly [field: string]: any;
  };
}

/** What happened to a image; null or missing: it is not known. */
export interface ImageEvent extends Placed {
  readonly type: "image.created" | "image.updated" | "image.deleted" | "image.status_changed";
  readonly data: {
    readonly imageId: string;
    readonly url?: string;
    readonly title?: string;
    readonly description?: string;
    readonly entityId?: string;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    readonly [field: string]: any;
  };
}

/** What happened to a owner upgrade; null or missing: it is not known. */
export interface OwnerUpgradeEvent extends Placed {
  readonly type: "owner_upgrade.created" | "owner_upgrade.updated" | "owner_upgrade.deleted" | "owner_upgrade.status_changed";
  readonly data: {
    readonly requestId: string;
    readonly userId?: string;
    /** A status word, in lower case. */
    readonly decision?: string;
    readonly statusKey?: string;
    readonly restaurantName?: string;
    readonly restaurantLocation?: string;
    readonly restaurantDescription?: string | null;
    readonly preferredSubscriptionPlanId?: string | null;
    readonly userNote?: string | null;
    readonly adminNote?: string | null;
    readonly assignedRestaurantId?: string | null;
    readonly processedBy?: string | null;
    readonly processedAt?: string | null;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    /** A status word, in lower case. */
    readonly status?: string;
    readonly newStatus?: string;
    readonly previousStatus?: string | null;
    readonly [field: string]: any;
  };
}

/** What happened to a subscription; null or missing: it is not known. */
export interface SubscriptionEvent extends Placed {
  readonly type: "subscription.created" | "subscription.updated" | "subscription.deleted" | "subscription.status_changed";
  readonly data: {
    readonly subscriptionId: string;
    readonly subscriptionPlanId?: string;
    readonly restaurantId?: string;
    readonly subscriptionStartDate?: string;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    /** A status word, in lower case. */
    readonly stateSubscription?: string;
    readonly newStatus?: string;
    readonly previousStatus?: string | null;
    readonly [field: string]: any;
  };
}

/** What happened to a announcement; null or missing: it is not known. */
export interface AnnouncementEvent extends Placed {
  readonly type: `announcement.${string}`;
  readonly data: {
    readonly announcementId: string;
    readonly createdAt?: string;
    readonly updatedAt?: string;
    readonly [field: string]: any;
  };
}

/** Somebody has written. */
export interface ChatMessageEvent extends Placed {
  readonly type: "chat.message";
  readonly data: {
    readonly messageId: string;
    readonly restaurantId: string;
    /** The guest, whose conversation it is. */
    readonly userId: string;
    readonly from: "guest" | "restaurant";
    readonly authorId: string;
    readonly authorName: string | null;
    /** Text, and never HTML; null: it was deleted since. */
    readonly text: string | null;
    /** Addresses of files. */
    readonly attachments: readonly string[];
    /** The message that it answers. */
    readonly replyTo: string | null;
    /** The log's time. */
    readonly sentAt: string;
  };
}

/** A message has another text. */
export interface ChatEditedEvent extends Placed {
  readonly type: "chat.edited";
  readonly data: {
    readonly messageId: string;
    readonly text: string | null;
    /** The log's time. */
    readonly editedAt: string;
  };
}

/** A message has no text any more. */
export interface ChatDeletedEvent extends Placed {
  readonly type: "chat.deleted";
  readonly data: {
    readonly messageId: string;
    readonly by: "guest" | "restaurant" | "admin";
  };
}

/** A side has read on. */
export interface ChatReadEvent extends Placed {
  readonly type: "chat.read";
  readonly data: {
    readonly by: "guest" | "restaurant";
    /** A position. */
    readonly upTo: string | null;
  };
}

/** The guest may not write any more, or may again. */
export interface ChatBlockedEvent extends Placed {
  readonly type: "chat.blocked";
  readonly data: {
    readonly blocked: boolean;
  };
}

/** A side of a conversation is typing, or not any more; without a position, and never stored. */
export interface ChatTypingEvent extends Passing {
  readonly type: "chat.typing";
  readonly data: {
    readonly by: "guest" | "restaurant";
    readonly typing: boolean;
  };
}

/** A conversation as it stands now, on an inbox. */
export interface ChatConversationEvent extends Placed {
  readonly type: "chat.conversation";
  readonly data: {
    readonly restaurantId: string;
    /** The guest, whose conversation it is. */
    readonly userId: string;
    readonly restaurantName: string | null;
    readonly guestName: string | null;
    readonly last: {
      readonly messageId: string;
      readonly from: "guest" | "restaurant";
      /** How it begins; null: it was deleted. */
      readonly preview: string | null;
      /** The log's time. */
      readonly sentAt: string;
    } | null;
    /** Messages that this side has not read. */
    readonly unread: number;
    readonly blocked: boolean;
  };
}

/** Any event that the log holds. */
export type AnyEvent =
  | ReservationEvent
  | PaymentEvent
  | RestaurantEvent
  | HoldCreatedEvent
  | HoldEndedEvent
  | TableEvent
  | SectionEvent
  | SectionObjectEvent
  | TableSelectingEvent
  | TableReleasedEvent
  | MenuEvent
  | DishEvent
  | ReviewEvent
  | ImageEvent
  | OwnerUpgradeEvent
  | SubscriptionEvent
  | AnnouncementEvent
  | ChatMessageEvent
  | ChatEditedEvent
  | ChatDeletedEvent
  | ChatReadEvent
  | ChatBlockedEvent
  | ChatConversationEvent;

/** The events of a channel, by its name. */
export type MessageOf<Channel extends string> = Channel extends `restaurant:${string}:chat:${string}`
  ? ChatMessageEvent | ChatEditedEvent | ChatDeletedEvent | ChatReadEvent | ChatBlockedEvent | ChatTypingEvent
  : Channel extends `restaurant:${string}:reservations`
  ? ReservationEvent | PaymentEvent | RestaurantEvent | HoldCreatedEvent | HoldEndedEvent
  : Channel extends `restaurant:${string}:tables`
  ? TableEvent | SectionEvent | SectionObjectEvent | RestaurantEvent | TableSelectingEvent | TableReleasedEvent
  : Channel extends `restaurant:${string}:menu`
  ? MenuEvent | DishEvent | RestaurantEvent
  : Channel extends `restaurant:${string}:reviews`
  ? ReviewEvent | RestaurantEvent
  : Channel extends `restaurant:${string}:info`
  ? RestaurantEvent | ImageEvent | SectionEvent | TableEvent | MenuEvent | DishEvent
  : Channel extends `user:${string}:notifications`
  ? ReservationEvent | PaymentEvent | OwnerUpgradeEvent | SubscriptionEvent | RestaurantEvent
  : Channel extends `restaurant:${string}:chats`
  ? ChatConversationEvent
  : Channel extends `user:${string}:chats`
  ? ChatConversationEvent
  : Channel extends `global:restaurants`
  ? RestaurantEvent
  : Channel extends `global:announcements`
  ? AnnouncementEvent
  : AnyEvent;
